"""The tests of Loupe; README.md in this folder says what lies where."""

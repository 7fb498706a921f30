"""Measured tables and pages of the shipped models."""

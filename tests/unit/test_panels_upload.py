"""An upload's Python side: each file is answered, whatever it holds and whatever becomes of it."""

import pytest

from kit.panels.upload import UploadButton


class Browser:
    """An `UploadButton` and what it answers to the browser's messages."""

    def __init__(self):
        self.button, self.files, self.refused, self.answers = UploadButton(), [], [], []
        self.button.on_file(lambda *file: self.files.append(file))
        self.button.on_refused(self.refused.append)
        self.button.send = self.answers.append

    def sends(self, message, *buffers) -> None:
        content = {"data": {"method": "custom", "content": message}}
        self.button._handle_msg({"content": content, "buffers": [memoryview(b) for b in buffers]})


@pytest.fixture
def browser():
    return Browser()


def test_a_file_comes_with_its_bytes_its_name_and_what_was_done(browser):
    browser.sends({"id": "1", "name": "a.jpg", "shrunk": [1024, 683]}, b"JPEG")
    browser.sends({"id": "2", "name": "b.png", "shrunk": None}, b"PNG")
    assert browser.files == [
        (b"JPEG", "a.jpg", "shrunk to 1,024 × 683 in the browser"),
        (b"PNG", "b.png", ""),
    ]
    assert browser.answers == [{"done": "1"}, {"done": "2"}]


def test_a_file_whose_callback_fails_is_answered_and_the_next_one_comes(browser, caplog):
    browser.button.on_file(lambda *file: 1 / 0)
    browser.sends({"id": "1", "name": "a.jpg"}, b"1")
    browser.sends({"id": "2", "name": "b.jpg"}, b"2")
    assert [name for _, name, _ in browser.files] == ["a.jpg", "b.jpg"]
    assert browser.answers == [{"done": "1"}, {"done": "2"}]
    assert "ZeroDivisionError" in caplog.text


def test_an_interrupted_kernel_answers_all_the_same(browser):
    def interrupted(*file):
        raise KeyboardInterrupt

    browser.button.on_file(interrupted)
    with pytest.raises(KeyboardInterrupt):
        browser.sends({"id": "1", "name": "a.jpg"}, b"1")
    assert browser.answers == [{"done": "1"}]


def test_a_refusal_is_a_sentence_on_one_line(browser):
    browser.sends({"id": "7", "refused": '"<img src=x>.raw" (12 MB) is no picture;\nsave it.' + "x" * 1000})
    assert browser.files == [] and browser.answers == [{"done": "7"}]
    assert browser.refused[0].startswith('"img src=x.raw" (12 MB) is no picture; save it.x')
    assert len(browser.refused[0]) == 300


@pytest.mark.parametrize(
    "name, shown",
    [
        ("cats & dogs.png", "cats & dogs.png"),
        ("<script>alert(1)</script>.png", "scriptalert(1)/script.png"),
        ("a\u202egnp.exe\x00\n.png", "agnp.exe .png"),
        ("a" * 5_000 + ".jpg", "a" * 71 + "…aaaa.jpg"),
        ("<>", "a file without a name"),
    ],
)
def test_a_name_is_made_plain(browser, name, shown):
    browser.sends({"id": "1", "name": name}, b"1")
    assert browser.files == [(b"1", shown, "")]


@pytest.mark.parametrize(
    "shrunk", [[1024], [1024, 0], [1025, 3], ["a", "b"], [True, 5], {"w": 1}, "1024", [1.5, 2], [1, 2, 3]]
)
def test_a_size_that_cannot_be_is_not_told(browser, shrunk):
    browser.sends({"id": "1", "name": "a.jpg", "shrunk": shrunk}, b"1")
    assert browser.files == [(b"1", "a.jpg", "")]


@pytest.mark.parametrize("message", [{}, {"name": 3}, {"name": "a.jpg"}, {"refused": 3}, None, "a.jpg"])
def test_a_message_that_says_nothing_calls_nobody(browser, message):
    browser.sends(message)
    assert browser.files == [] and browser.refused == [] and browser.answers == [{"done": None}]

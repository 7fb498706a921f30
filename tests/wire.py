"""Bytes that a kernel sends to the browser when a panel changes, counted as Jupyter packs them."""

from contextlib import contextmanager

import ipywidgets
from jupyter_client.session import Session

IDENTITY = "0" * 32  # of a comm: 32 hexadecimal digits


@contextmanager
def messages():
    """Sizes of all messages of widgets while it lasts, in bytes: header, parent header, content, buffers.

    The parent is what the browser had sent, of the length that it has in JupyterLab.

    Example:
        >>> with messages() as sent:
        ...     ipywidgets.IntSlider().value = 3
        >>> len(sent) > 0
        True
    """
    session, sent = Session(), []
    parent = session.msg_header("comm_msg")
    real = ipywidgets.Widget._send

    def count(self, message, buffers=None):
        packed = session.msg("comm_msg", {"comm_id": IDENTITY, "data": message}, parent={"header": parent})
        sent.append(sum(map(len, session.serialize(packed))) + sum(len(bytes(b)) for b in buffers or []))
        real(self, message, buffers)

    ipywidgets.Widget._send = count
    try:
        yield sent
    finally:
        ipywidgets.Widget._send = real

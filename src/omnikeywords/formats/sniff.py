"""What bytes are, from the bytes alone: container, character encoding, line ends."""

import codecs
import re
from dataclasses import dataclass

from omnikeywords.errors import UnreadableExport

__all__ = ["Encoding", "kind_of", "refuse_junk", "sniff_encoding"]

# First bytes of what people hand in by mistake, and what to do then.
_REFUSED: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF; export the table as CSV or XLSX instead"),
    (b"\x89PNG", "a PNG image; export the table as CSV or XLSX instead"),
    (b"\xff\xd8\xff", "a JPEG image; export the table as CSV or XLSX instead"),
    (b"GIF8", "a GIF image; export the table as CSV or XLSX instead"),
    (b"BM", "a BMP image; export the table as CSV or XLSX instead"),
    (b"II*\x00", "a TIFF image; export the table as CSV or XLSX instead"),
    (b"MM\x00*", "a TIFF image; export the table as CSV or XLSX instead"),
    (b"Rar!", "a RAR archive; unpack it and give the file inside"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it and give the file inside"),
    (b"\xfd7zXZ", "an xz archive; unpack it and give the file inside"),
    (b"BZh", "a bzip2 archive; unpack it and give the file inside"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive; unpack it and give the file inside"),
    (b"SQLite format 3", "an SQLite database; export the table as CSV instead"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90", "a program"),
    (b"OggS", "a sound or video file"),
    (b"ID3", "a sound file"),
    (b"ARROW1", "an Arrow file; write it as Parquet or CSV instead"),
    (b"{\\rtf", "an RTF document; export the table as CSV or XLSX instead"),
)


def kind_of(head: bytes) -> str:
    """The container by its first bytes: zip, gzip, ole (old Excel or encrypted), parquet, or text.

    Raises UnreadableExport for an image, a PDF and what else cannot hold keywords, and for no bytes at all.
    """
    if not head:
        raise UnreadableExport("the file is empty: it has no bytes")
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"):
        return "zip"
    if head[:2] == b"\x1f\x8b":
        return "gzip"
    if head[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
        return "ole"
    if head[:4] == b"PAR1":
        return "parquet"
    if head[:4] == b"RIFF" and head[8:12] in (b"WEBP", b"WAVE", b"AVI "):
        raise UnreadableExport("this is a picture, sound or video file; export the table as CSV or XLSX instead")
    if head[4:8] == b"ftyp":
        raise UnreadableExport("this is a video or picture file; export the table as CSV or XLSX instead")
    for start, what in _REFUSED:
        # "BM" and "ID3" are also how a keyword may begin: there, only binary content decides.
        is_text = len(start) < 4 and start.isalnum()
        if head.startswith(start) and (not is_text or _control_share(head) > 0.02):
            raise UnreadableExport(f"this is {what}")
    return "text"


_BOMS = (
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True, slots=True)
class Encoding:
    """How text is stored; `codec` is Python's name of it."""

    codec: str  # utf-8, utf-16-le, utf-16-be, utf-32-le, utf-32-be, cp1252 or another code page
    bom: bool


def sniff_encoding(head: bytes, whole: bool) -> Encoding:
    """The encoding: by byte order mark, else UTF-16 by its NULs, else UTF-8 if strictly valid, else cp1252.

    `whole` says that `head` is everything there is; otherwise a character may be cut at its end.
    """
    for bom, codec in _BOMS:
        if head.startswith(bom):
            return Encoding(codec, True)
    # A UTF-16 text of Latin letters has a NUL for every second byte, always on the same side.
    even, odd = head[0::2].count(0), head[1::2].count(0)
    half = len(head) // 2
    if half >= 2 and odd > 0.3 * half and even < 0.05 * half + 1:
        return Encoding("utf-16-le", False)
    if half >= 2 and even > 0.3 * half and odd < 0.05 * half + 1:
        return Encoding("utf-16-be", False)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=whole)
    except UnicodeDecodeError:
        # One bad line in a text that is otherwise UTF-8 is a patch from elsewhere, not another encoding.
        return Encoding("utf-8" if _mostly_utf8(head) else "cp1252", False)
    return Encoding("utf-8", False)


def _mostly_utf8(head: bytes) -> bool:
    good = bad = 0
    for line in head.split(b"\n")[:-1]:
        if not line.isascii():
            try:
                line.decode()
                good += 1
            except UnicodeDecodeError:
                bad += 1
    return good > bad


_CONTROL = bytes(c for c in range(32) if c not in b"\t\n\r\x0b\x0c\x1a\x1b") + b"\x7f"
_MARKUP = re.compile(r"\s*(?:<!--.*?-->\s*)*<(!doctype\s+html|html|head|body|svg|\?xml)", re.IGNORECASE | re.DOTALL)


def _control_share(data: bytes) -> float:
    return 1 - len(data.translate(None, _CONTROL)) / max(1, len(data))


def refuse_junk(head: bytes, encoding: Encoding, text: str) -> None:
    """Raise UnreadableExport where the bytes are no text (many control characters) or a page of markup."""
    if encoding.codec in ("utf-8", "cp1252") and _control_share(head) > 0.02:
        raise UnreadableExport("this is binary data, not a table of keywords; export CSV, XLSX, JSONL or Parquet")
    if encoding.codec.startswith("utf-16"):
        letters = sum(c.isprintable() or c in "\t\r\n\ufeff" for c in text[:4000])
        if letters < 0.9 * min(len(text), 4000):
            raise UnreadableExport("this is binary data, not a table of keywords; export CSV, XLSX, JSONL or Parquet")
    match = _MARKUP.match(text)
    if match:
        what = {"svg": "an SVG image", "?xml": "an XML document"}.get(match[1].lower(), "a web page (HTML)")
        raise UnreadableExport(f"this is {what}, not an export; use the tool's export button to get CSV or XLSX")
    if not text.strip():
        raise UnreadableExport("the file is empty: it holds nothing but blanks")

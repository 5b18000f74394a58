"""What a request says, read and checked: its body as JSON, its query, its headers."""

import re
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec

from omnikeywords.analysis.lexicon import QUESTIONS
from omnikeywords.api.guard import Call
from omnikeywords.api.problems import Problem
from omnikeywords.errors import VersionConflict

__all__ = [
    "check_encoding",
    "check_json",
    "check_takes_json",
    "decode_json",
    "expected_version",
    "media_of",
    "printable",
    "read_query",
    "read_texts",
    "wrong_field",
]

S = TypeVar("S", bound=msgspec.Struct)


def media_of(call: Call) -> bytes:
    """The type that a body is said to be, in lower case; empty where nothing is said."""
    return call.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


def check_json(call: Call) -> None:
    """Refuse a body that is said not to be JSON."""
    given = call.headers.get(b"content-type")
    if given is not None and given != b"application/json":
        media = media_of(call)
        if media != b"application/json" and not (media.startswith(b"application/") and media.endswith(b"+json")):
            raise Problem(
                "unsupported_media_type",
                f"the body is said to be {printable(given)}: send JSON as application/json",
                {"content_type": printable(given)},
                ((b"accept", b"application/json"),),
            )
    check_encoding(call)


def check_encoding(call: Call) -> None:
    """Refuse a body that is compressed on the way."""
    coding = call.headers.get(b"content-encoding")
    if coding is not None and coding.strip().lower() != b"identity":
        raise Problem(
            "unsupported_media_type",
            f"the body is encoded as {printable(coding)}: send it as it is",
            {"content_encoding": printable(coding)},
            ((b"accept-encoding", b"identity"),),
        )


def check_takes_json(call: Call) -> None:
    """Refuse a client that takes no JSON."""
    accept = call.headers.get(b"accept")
    if accept is not None and accept != b"*/*" and not _takes_json(accept):
        raise Problem(
            "not_acceptable",
            f"the answer is application/json, which Accept: {printable(accept)} excludes",
            {"accept": printable(accept)},
        )


def _takes_json(accept: bytes) -> bool:
    """Whether an Accept header allows JSON: its most specific range that fits decides."""
    best, taken = 0, False
    for item in accept.decode("latin-1").lower().split(","):
        media, _, parameters = item.partition(";")
        rank = {"*/*": 1, "application/*": 2, "application/json": 3}.get(media.strip(), 0)
        if rank > best:
            quality = re.search(r"(?:^|;)\s*q\s*=\s*([0-9.]+)", parameters)
            best, taken = rank, not (quality and quality[1].strip("0.") == "")
    return taken or not accept.strip()


def decode_json(body: bytes, decoder: "msgspec.json.Decoder[S]") -> S:
    """A body as what it must be.

    Raises Problem for what is no JSON or has a wrong field.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise wrong_field(str(error), decoder.type) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        said = "it is empty" if not body.strip() else _lower(str(error).removeprefix("JSON is malformed: "))
        raise Problem("invalid_json", f"the body is not JSON: {said}") from None
    except RecursionError:
        raise Problem("invalid_json", "the body is nested too deeply") from None


def read_query(call: Call, type: type[S]) -> tuple[S, dict[str, str]]:
    """The parameters behind the question mark, checked, and their texts as they were given.

    Raises Problem for one that is unknown, given twice, or wrong.
    """
    given: dict[str, str] = {}
    for pair in call.query.split(b"&") if call.query else ():
        name, value = (_plain(part) for part in pair.partition(b"=")[::2])
        if name in given:
            raise Problem("invalid_request", f"{name}: it is given twice: give it once", {"field": name})
        if pair:
            given[name] = value
    return read_texts(given, type), given


def read_texts(given: Mapping[str, str], type: type[S]) -> S:
    """Parameters that came as texts, checked.

    Raises Problem for one that is unknown or wrong.
    """
    try:
        found = msgspec.convert(given, type, strict=False)
    except msgspec.ValidationError as error:
        raise wrong_field(str(error), type, "parameter") from None
    nulls = any(text.lower() == "null" for text in given.values())
    for field in msgspec.structs.fields(type) if nulls else ():
        # The decoder takes the word null for nothing.
        if field.encode_name in given and getattr(found, field.name) is None:
            shown = f"{field.encode_name}: null is no value of it: leave it out"
            raise Problem("invalid_request", shown, {"field": field.encode_name})
    return found


def _plain(text: bytes) -> str:
    try:
        found = unquote_to_bytes(text.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        found = "\0"
    if "\0" in found:
        said = "the query is not text in UTF-8, percent-encoded, without U+0000"
        raise Problem("invalid_request", said, {"field": None})
    return found


def expected_version(call: Call, current: int | None = None) -> int | None:
    """The version that If-Match names; None where it is not there or asks for any.

    Raises VersionConflict for a tag that was never one of ours.
    """
    given = call.headers.get(b"if-match", b"").strip()
    if not given or given == b"*":
        return None
    tags = [tag.strip() for tag in given.split(b",")]
    versions = [int(tag[1:-1]) for tag in tags if re.fullmatch(rb'"[0-9]{1,18}"', tag)]
    if len(versions) == 1:
        return versions[0]
    if current in versions:
        return current
    raise VersionConflict(f"If-Match: {printable(given)} is no version of it: read it again, its ETag says which it is")


def printable(header: bytes) -> str:
    """A header for people: its beginning, in ASCII."""
    return header[:100].decode("ascii", "replace")


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


# What to say in place of a pattern.
_SHAPES = {
    "market": "this is not a language and region: write it as pt-BR, en or und-BR",
    "project": "this is no name of a project: use up to 64 letters, digits, points, dashes and underscores",
    "date": "this is no day, month or range of days: write it as 2026-10-31, 2026-10 or 2026-10-01..2026-10-28",
    "intent": "this is no intent: use informational, navigational, commercial or transactional, with | between several",
    "funnel": "this is no funnel stage: use awareness, consideration or decision, with | between several",
    "question": f"this is no kind of question: use {', '.join(QUESTIONS)} or any, with | between several",
}
_SHAPES["name"] = _SHAPES["project"]
for _name in ("tags", "add_tags", "remove_tags"):
    _SHAPES[_name] = "this is no tag: use 1 to 64 characters, without spaces, commas and |"
_CHOICES = {
    "analysis_type": "use basic or comprehensive",
}
_PLACE = re.compile(r" - at `(?:key in )?\$\.?(.*)`$")


def wrong_field(said: str, type: Any, what: str = "field") -> Problem:
    """The decoder's words, with the field in front of them."""
    place = _PLACE.search(said)
    field = place[1] if place else ""
    text = _lower(_PLACE.sub("", said).replace("`", ""))
    known = {f.encode_name: f for f in msgspec.structs.fields(type)} if msgspec.inspect.is_struct_type(type) else {}
    if text.startswith("object contains unknown field"):
        text += f": known are {', '.join(known)}"
        if what != "field":
            text = text.replace("object contains unknown field", f"unknown {what}")
    elif field in _CHOICES:
        text += f": {_CHOICES[field]}"
    elif "matching regex" in text and field.partition("[")[0] in _SHAPES:
        text = _SHAPES[field.partition("[")[0]]
    elif (
        "invalid enum value" in text
        and (at := field.partition("[")[0]) in known
        and (allowed := _allowed(known[at].type))
    ):
        text += f": use {', '.join(allowed)}"
    return Problem("invalid_request", f"{field}: {text}" if field else text, {"field": field or None})


def _allowed(type: Any) -> list[str]:
    """The words that a field may be."""
    found = msgspec.inspect.type_info(type)
    while isinstance(found, msgspec.inspect.Metadata | msgspec.inspect.ListType):
        found = found.item_type if isinstance(found, msgspec.inspect.ListType) else found.type
    if isinstance(found, msgspec.inspect.EnumType):
        return [str(member.value) for member in found.cls]
    kinds = found.types if isinstance(found, msgspec.inspect.UnionType) else (found,)
    return [str(v) for kind in kinds if isinstance(kind, msgspec.inspect.LiteralType) for v in kind.values]

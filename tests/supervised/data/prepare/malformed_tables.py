"""Tables of a download or of a prepared set, spoilt: each is to be refused in one line."""

from collections.abc import Iterator

#: Of Gender and Scene as RES publishes them.
GOOD = b'img_idx,attention,img_check\nx,"[[1, 0], [0, 0]]",good\n'


def spoilt(good: bytes) -> Iterator[tuple[str, bytes]]:
    """A good table of one row, with one thing wrong."""
    header, _, row = good.partition(b"\n")
    names = header.split(b",")
    yield "no utf-8", good + b"\xff\xfe\n"
    yield "a null byte", good + b"\0\n"
    yield "noise", bytes(range(256))
    for name in names:
        yield f"without {name.decode()}", good.replace(name, b"other", 1)
    yield "a short row", header + b"\n" + row.split(b",")[0] + b"\n"


def matrices() -> Iterator[tuple[str, bytes]]:
    """What is no map of a picture."""
    for wrong in ("", "[", "{}", "null", "[[1], [2, 3]]", "[[[1]]]", "x", "[]", "[[]]", "3",
                  '[["a"]]', "[[NaN]]", "[[-1]]"):  # fmt: skip
        yield f"attention {wrong}", GOOD.replace(b"[[1, 0], [0, 0]]", wrong.encode())

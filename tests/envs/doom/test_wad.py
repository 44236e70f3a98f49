import pytest

from rl_attn.envs.doom import wad
from rl_attn.envs.doom.scenario_file import FOLDER


def test_what_is_written_is_read(tmp_path):
    lumps = [("MAP01", b""), ("TEXTMAP", b"thing{x=1;}"), ("ENDMAP", b"")]
    wad.write(tmp_path / "a.wad", lumps)
    assert wad.read(tmp_path / "a.wad") == lumps
    assert wad.directory(tmp_path / "a.wad")[1] == ("TEXTMAP", 12, 11)


def test_maps_are_found_in_udmf_and_in_the_old_format():
    names = ["DECORATE", "MAP01", "TEXTMAP", "ENDMAP", "E1M2", "THINGS", "LINEDEFS"]
    assert wad.maps(names) == {"MAP01": 1, "E1M2": 4}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.wad")), ids=lambda path: path.stem)
def test_every_map_of_the_package_survives_parsing(path):
    lumps = wad.map_lumps(wad.read(path), "map01")
    blocks = wad.parse(dict(lumps)["TEXTMAP"])
    assert wad.parse(wad.text(blocks)) == blocks
    kinds = [block.kind for block in blocks]
    assert sum(map(bool, kinds)) == dict(lumps)["TEXTMAP"].count(b"{")
    assert kinds.count("") == 1 and {"vertex", "linedef", "sidedef", "sector"} <= set(kinds)


def test_comments_and_words_with_signs_of_their_own():
    blocks = wad.parse(b'a = "x"; // b = 1;\nThing /* 5 */ { Comment = "{;} // no"; x = -1.5; }')
    assert blocks == [
        wad.Block("", {"a": '"x"'}),
        wad.Block("thing", {"comment": '"{;} // no"', "x": "-1.5"}),
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a WAD"),
        (b"PK\3\4" + bytes(20), "not a WAD"),
        (b"PWAD" + bytes([9, 0, 0, 0, 12, 0, 0, 0]), "broken"),
        (b"PWAD" + b"\1\0\0\0\x0c\0\0\0" + b"\0\0\0\0\xff\0\0\0MAP01\0\0\0", "broken"),
    ],
)
def test_what_is_no_wad_is_refused(tmp_path, content, words):
    (tmp_path / "a.wad").write_bytes(content)
    with pytest.raises(ValueError, match=words):
        wad.read(tmp_path / "a.wad")


def test_a_map_in_the_old_format_is_refused_where_text_is_wanted():
    with pytest.raises(ValueError, match="no map MAP01 in UDMF"):
        wad.map_lumps([("MAP01", b""), ("THINGS", b"")], "MAP01")

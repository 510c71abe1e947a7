import pytest

from captioner.writers.metadata.xmp import (
    ALT_TEXT,
    DESCRIPTION,
    DamagedError,
    empty_packet,
    get_text,
    set_text,
    without_padding,
)

LIGHTROOM = b"""<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmp:Rating="4" xmp:Label="a > b">
   <dc:subject><rdf:Bag><rdf:li>holiday</rdf:li></rdf:Bag></dc:subject>
   <!-- by hand -->
   <dc:description><rdf:Alt><rdf:li xml:lang="x-default">Grandma &amp; me</rdf:li>
    <rdf:li xml:lang="de">Oma</rdf:li></rdf:Alt>
   </dc:description>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
{padding}<?xpacket end="w"?>""".replace(b"{padding}", b" " * 40 + b"\n")


def about(body, attributes=""):
    return (
        '<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:d="http://purl.org/dc/elements/1.1/">'
        f'<r:Description r:about="uuid:1" {attributes}>{body}</r:Description></r:RDF>'
    ).encode()


@pytest.mark.parametrize("name", [DESCRIPTION, ALT_TEXT])
def test_a_new_packet(name):
    packet = set_text(empty_packet(), name, "Zwei Hunde & <eine> Katze\x00 “im” Schnee 🐕")
    assert get_text(packet, name) == "Zwei Hunde & <eine> Katze  “im” Schnee 🐕"
    assert packet.startswith(b"<?xpacket begin") and packet.endswith(b'<?xpacket end="w"?>')
    again = set_text(packet, name, "two")
    assert get_text(again, name) == "two" and b"Katze" not in again


def test_everything_else_stays_byte_for_byte():
    assert get_text(LIGHTROOM, DESCRIPTION) == "Grandma & me"
    changed = set_text(LIGHTROOM, DESCRIPTION, "a dog")
    assert changed == LIGHTROOM.replace(b"Grandma &amp; me", b"a dog")
    added = set_text(LIGHTROOM, ALT_TEXT, "a dog")
    assert get_text(added, ALT_TEXT) == "a dog" and get_text(added, DESCRIPTION) == "Grandma & me"
    place = added.index(b" <rdf:Description xmlns:rdf=")
    assert LIGHTROOM.startswith(added[:place])
    assert len(without_padding(LIGHTROOM)) < len(LIGHTROOM) - 30
    assert get_text(without_padding(added), ALT_TEXT) == "a dog"


@pytest.mark.parametrize(
    ("packet", "before"),
    [
        (about("", 'd:description="old &gt; text"'), "old > text"),
        (about("<d:description>plain</d:description>"), "plain"),
        (about("<d:description/>"), ""),
        (about('<d:description><r:Alt><r:li xml:lang="fr">vieux</r:li></r:Alt></d:description>'), "vieux"),
        (about('<d:description><r:Alt><r:li xml:lang="x-default"/></r:Alt></d:description>'), ""),
        (about("<d:description><r:Bag><r:li>bag</r:li></r:Bag></d:description>"), None),
        (b'<RDF xmlns="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/>', ""),
        (b'<q:RDF xmlns:q="http://www.w3.org/1999/02/22-rdf-syntax-ns#"></q:RDF>', ""),
        (LIGHTROOM.decode().encode("utf-16"), "Grandma & me"),
        (b"\xef\xbb\xbf" + LIGHTROOM + b"\0\0\0", "Grandma & me"),
    ],
)
def test_forms_that_other_programs_write(packet, before):
    if before is not None:
        assert get_text(packet, DESCRIPTION) == before
    changed = set_text(packet, DESCRIPTION, "new")
    assert get_text(changed, DESCRIPTION) == "new"
    assert get_text(set_text(changed, DESCRIPTION, "newer"), DESCRIPTION) == "newer"
    assert (b"vieux" in changed) == (b"vieux" in packet)  # another language is not ours to change
    assert (b"uuid:1" in changed) == (b"uuid:1" in packet)


def test_a_new_block_is_about_the_same_thing():
    assert set_text(about(""), ALT_TEXT, "x").count(b"uuid:1") == 2


@pytest.mark.parametrize(
    ("packet", "fault"),
    [
        (b"<x:xmpmeta", "cannot be read"),
        (LIGHTROOM[:200], "cannot be read"),
        (b"", "cannot be read"),
        (b"<a/>", "no rdf:RDF"),
        (b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "document type"),
        (b"\xff\xfea", "not Unicode"),
        (LIGHTROOM.replace(b"Oma", b"\xe4"), "not UTF-8"),
    ],
)
def test_damage_is_said(packet, fault):
    with pytest.raises(DamagedError, match=fault):
        set_text(packet, DESCRIPTION, "new")

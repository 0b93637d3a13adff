"""Octets of MS-TURN against vectors made and checked by others (client 192.0.2.77, server 203.0.113.30)."""

from __future__ import annotations

import pytest

from monitor.simulate import msturn
from monitor.simulate.msturn import Login, address, message, number, sequence_number

VERSION = (msturn.MS_VERSION, number(2))
QUALITY = (msturn.SERVICE_QUALITY, bytes.fromhex("00010001"))
NONCE = (msturn.NONCE, bytes(range(0x01, 0x15)))
REALM = (msturn.REALM, b'"rtcmedia"')
FIRST = bytes.fromhex("2112a4420102030405060708090a0b0c")
SECOND = bytes.fromhex("2112a4422122232425262728292a2b2c")
CONNECTION = bytes(range(0xD0, 0xE4))
PEER = ("198.51.100.9", 50020)
TOKEN = msturn.token(0x01CF120080000000, bytes(range(0x60, 0x74)), bytes(range(0x80, 0x94)))
LOGIN = Login(TOKEN, bytes(range(0xC0, 0xD4)))
USERNAME = (msturn.USERNAME, TOKEN)


def plain(text: str) -> bytes:
    return bytes.fromhex("".join(text.split()))


def test_greeting() -> None:
    expected = plain("""160301002d01000029030152d3a2c0101112131415161718191a1b1c1d1e1f202122232425262728292a2b
        00000200180100""")
    assert len(expected) == 50
    assert msturn.pseudo_client_hello(0x52D3A2C0, bytes(range(0x10, 0x2C))) == expected


def test_answer_to_the_greeting() -> None:
    expected = plain("""160301004e02000046030152d3a2c1404142434445464748494a4b4c4d4e4f505152535455565758595a5b
        20a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b30000000000000000000000000018000e000000""")
    assert len(expected) == 83
    session = bytes(range(0xA0, 0xB4)) + bytes(12)
    assert msturn.pseudo_server_hello(0x52D3A2C1, bytes(range(0x40, 0x5C)), session) == expected


def test_first_allocate_and_its_frame() -> None:
    made = message(msturn.ALLOCATE, FIRST, [VERSION, QUALITY])
    assert made == plain("""000300182112a4420102030405060708090a0b0c000f000472c64bc680080004000000028055000400010001""")
    assert msturn.frame(made) == plain("0200002c") + made


def test_challenge() -> None:
    attributes = [
        VERSION,
        (msturn.ERROR_CODE, msturn.error(401, "Unauthorized")),
        (msturn.ALTERNATE_SERVER, address(("203.0.113.30", 443))),
        NONCE,
        REALM,
    ]
    assert message(msturn.ALLOCATE_ERROR, FIRST, attributes) == plain("""
        011300562112a4420102030405060708090a0b0c000f000472c64bc68008000400000002
        0009001000000401556e617574686f72697a6564000e0008000101bbcb00711e
        001400140102030405060708090a0b0c0d0e0f10111213140015000a227274636d6564696122""")


def test_second_allocate_with_token_and_integrity() -> None:
    made = message(msturn.ALLOCATE, SECOND, [VERSION, QUALITY, NONCE, REALM, USERNAME], LOGIN)
    assert made == plain("""
        000300922112a4422122232425262728292a2b2c000f000472c64bc680080004000000028055000400010001
        001400140102030405060708090a0b0c0d0e0f10111213140015000a227274636d6564696122
        00060038020000248000000001cf1200606162636465666768696a6b6c6d6e6f7071727300000000
        808182838485868788898a8b8c8d8e8f9091929300080014 5889737f334301916bf3ae57f8e7d06654c7f35c""")


def test_grant() -> None:
    attributes = [
        (msturn.LIFETIME, number(600)),
        (msturn.MAPPED_ADDRESS, address(("203.0.113.30", 51234))),
        VERSION,
        (msturn.XOR_MAPPED_ADDRESS, address(("192.0.2.77", 40123), SECOND)),
        (msturn.SEQUENCE_NUMBER, sequence_number(CONNECTION, 0)),
        (msturn.BANDWIDTH, number(750)),
    ]
    assert message(msturn.ALLOCATE_OK, SECOND, attributes, LOGIN) == plain("""
        0103006c2112a4422122232425262728292a2b2c000f000472c64bc6000d000400000258
        000100080001c822cb00711e8008000400000002802000080001bda9e112a60f
        80500018d0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e30000000000100004000002ee
        00080014 9d60061b7edae67674862e398c061029494e754e""")


def test_send_has_no_padding() -> None:
    transaction = bytes.fromhex("2112a4423132333435363738393a3b3c")
    attributes = [
        VERSION,
        USERNAME,
        (msturn.DESTINATION_ADDRESS, address(PEER)),
        (msturn.SEQUENCE_NUMBER, sequence_number(CONNECTION, 1)),
        (msturn.DATA, bytes.fromhex("8068000168656c6c6f")),
    ]
    assert message(msturn.SEND, transaction, attributes, LOGIN) == plain("""
        000400992112a4423132333435363738393a3b3c000f000472c64bc68008000400000002
        00060038020000248000000001cf1200606162636465666768696a6b6c6d6e6f7071727300000000
        808182838485868788898a8b8c8d8e8f90919293001100080001c364c6336409
        80500018d0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e300000001001300098068000168656c6c6f
        00080014 f8de2e66fe87e812a94d3ac84b3807d7cd8e49ba""")


def test_data_indication() -> None:
    transaction = bytes.fromhex("0badcafe4142434445464748494a4b4c")
    attributes = [(msturn.REMOTE_ADDRESS, address(PEER)), (msturn.DATA, bytes.fromhex("80c9000100001001"))]
    assert message(msturn.DATA_INDICATION, transaction, attributes) == plain("""
        011500200badcafe4142434445464748494a4b4c000f000472c64bc6001200080001c364c6336409
        0013000880c9000100001001""")


def test_set_active_destination_and_its_answer() -> None:
    transaction = bytes.fromhex("2112a4425152535455565758595a5b5c")
    counted = (msturn.SEQUENCE_NUMBER, sequence_number(CONNECTION, 2))
    asked = [USERNAME, counted, (msturn.DESTINATION_ADDRESS, address(PEER))]
    assert message(msturn.SET_ACTIVE, transaction, asked, LOGIN) == plain("""
        000600842112a4425152535455565758595a5b5c000f000472c64bc6
        00060038020000248000000001cf1200606162636465666768696a6b6c6d6e6f7071727300000000
        808182838485868788898a8b8c8d8e8f90919293
        80500018d0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e300000002001100080001c364c6336409
        00080014 5ebb24e9f9c6c59cef6ee3798f83baf964f946a0""")
    assert message(msturn.SET_ACTIVE_OK, transaction, [counted], LOGIN) == plain("""
        0106003c2112a4425152535455565758595a5b5c000f000472c64bc6
        80500018d0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e300000002
        00080014 cd2911d4dd65050e52e88a9f4b24aaf63b146658""")


def test_data_frame() -> None:
    packet = plain("8072303900001f400000abcd000102030405060708090a0b0c0d0e0f")
    assert msturn.frame(packet, msturn.FRAME_DATA) == plain("0300001c") + packet


def test_fixed_fields_refuse_another_length() -> None:
    with pytest.raises(ValueError, match="27 octets where 28 belong"):
        msturn.pseudo_client_hello(0, bytes(27))

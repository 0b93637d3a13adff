//! Certificates made with Python `cryptography`; what they say was read back with `openssl x509 -text`, their digests
//! with `sha256sum`, times with `date -u`.

use proptest::prelude::*;

use super::*;

const ELLIPTIC: &str = "\
    308201de30820163a003020102020a008f0102030405060708300a06082a8648ce3d04030230273110300e060355040a0c074578616d706c\
    653113301106035504030c0a4578616d706c65204341301e170d3234303130323033303430355a170d3236303130323033303430355a303c\
    3110300e060355040a0c074578616d706c65310e300c06035504030c0575736572733118301606035504030c0f7369702e6578616d706c65\
    2e636f6d3059301306072a8648ce3d020106082a8648ce3d03010703420004d2716ba353f513efd17b5a54dcdbbf4aa37d663681ab4962f1\
    b34277d5491be25c082884969410d4557539e5b46ccead785fc5e6897fa164014c6e77dee8f905a3623060300c0603551d130101ff040230\
    0030500603551d1104493047820f7369702e6578616d706c652e636f6d820d2a2e6578616d706c652e636f6d810d61406578616d706c652e\
    636f6d8704c0000207871020010db8000000000000000000000007300a06082a8648ce3d0403020369003066023100c8045ab27707aa5df2\
    9ebfb9be7202c03d4efae219cbc52b16c89d9984cbe43d3e660147f11833b044b209e6f8b724df023100c435d8650c56f11624a10deb5259\
    c32fd6dda84d0174fb00a241c0bec685338eb9e7e094953cbf20c782a498f959acb8\
";
const RSA: &str = "\
    308201a93082012fa003020102020101300a06082a8648ce3d04030230273110300e060355040a0c074578616d706c653113301106035504\
    030c0a4578616d706c652043413020170d3939313233313233353935395a180f39393939313233313233353935395a302c3110300e060355\
    040a0c074578616d706c653118301606035504030c0f7273612e6578616d706c652e636f6d30819f300d06092a864886f70d010101050003\
    818d0030818902818100cd5c139de21d3870f4ce448bdf85fc9600bc7aaad75ed4c6fd5e6fa01db06fb4f92364a46418e2bb276880d84194\
    11933bc9272680a836515b67ba28ef7f1616f894d1a00897be7f36fc226a6d76f265b04930640f6110c5272179c3da3f9ac443cb1d10d538\
    530cd7624369516d476aa5ddb468acbcc1b4b6fa2ceb81e481070203010001300a06082a8648ce3d04030203680030650231008424c677ea\
    8f35c606c25ebeb4defebbce3df542d82ae00ece6621a7c33a7bfc0acd69c4220b1a1b951e6b12fde142ab02304b29f836eb438fdf70b214\
    058a08a484047a2b0ecdf0fdd17c4b4d476e22c8a184cf7f3efbe14876f3eea9669f4e1ca7\
";
const EDWARDS: &str = "\
    3081d730818aa00302010202017f300506032b657030273110300e060355040a0c074578616d706c653113301106035504030c0a4578616d\
    706c652043413022180f32303530303130313030303030305a180f32303630303130313030303030305a3000302a300506032b6570032100\
    b996695a880505b0692bbc1898c48bdcc84c702b4fc3b2941a761b6179986387300506032b6570034100a931d779b5995ab6f42f46242b11\
    3b41adb614a32a1ca0d595e7f38e36495fd290236bb48d3d506b0d2a9596edb2d1e1b98ab23e76327ba476cfddad61949f01\
";
const BY_URI: &str = "\
    3082010a3081bda003020102020101300506032b6570300d310b300906035504030c024341301e170d3234303130313030303030305a170d\
    3236303130313030303030305a30143112301006035504030c09612e6578616d706c65302a300506032b657003210003a107bff3ce10be1d\
    70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8a33b3039300c0603551d130101ff0402300030290603551d1f04223020301ea01c\
    a01a8618687474703a2f2f63726c2e6578616d706c652f612e63726c300506032b6570034100d15eef4191b18504de9e38e75e1b4f6b0c15\
    8f8f02b18aaf62ceed82360a0bdd797e886abdd9a55e64e773401e5d7d2e7084d35ab4edfbff89bd1989d7c0ed0f\
";
const BY_SIGNER: &str = "\
    308201003081b3a003020102020101300506032b6570300d310b300906035504030c024341301e170d3234303130313030303030305a170d\
    3236303130313030303030305a30143112301006035504030c09612e6578616d706c65302a300506032b657003210003a107bff3ce10be1d\
    70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8a331302f300c0603551d130101ff04023000301f0603551d1f041830163014a212\
    a410300e310c300a06035504030c0343524c300506032b65700341003d1bc130675e92c37a10a102f1ef686ff0abbc050878ccc14c78605e\
    7132c4864af69c8f77c665932bcc6bc35c85452c09c45fb1c5f56b09fc9439442d985c0b\
";
const BY_RELATIVE_NAME: &str = "\
    3081fa3081ada003020102020101300506032b6570300d310b300906035504030c024341301e170d3234303130313030303030305a170d32\
    36303130313030303030305a30143112301006035504030c09612e6578616d706c65302a300506032b657003210003a107bff3ce10be1d70\
    dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8a32b3029300c0603551d130101ff0402300030190603551d1f04123010300ea00ca1\
    0a300806035504030c014c300506032b6570034100728fccc5b6cc16b8495871816b989b6ab2ed6ab70798555122652826f0fbb528d28d61\
    bede1cdf32386e550fb53a6a8839b8065fbd70e61f1321185285a08d0d\
";

fn der(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap())
        .collect()
}

fn one(hex: &str) -> Certificate {
    let mut table = Certificates::new();
    let number = table.add(&der(hex)).unwrap();
    table.get(number).unwrap().clone()
}

fn shown(text: Option<&Text>) -> String {
    text.map(Text::to_display).unwrap_or_default()
}

#[test]
fn reads_an_elliptic_certificate() {
    let certificate = one(ELLIPTIC);
    assert!(certificate.readable);
    assert_eq!(
        certificate.sha256.to_vec(),
        der("41841a983730cf3921a82ecaa0233a03f53af795562f029257648cb4955c766a")
    );
    assert_eq!(
        shown(certificate.subject_common_name.as_ref()),
        "sip.example.com",
        "the most specific of two"
    );
    assert_eq!(shown(certificate.issuer_common_name.as_ref()), "Example CA");
    let names: Vec<String> = certificate.alternative_names.iter().map(Text::to_display).collect();
    assert_eq!(names, ["sip.example.com", "*.example.com", "192.0.2.7", "2001:db8::7"]);
    assert_eq!(certificate.serial_number, "8F0102030405060708");
    assert_eq!(certificate.not_before, 1_704_164_645_000_000_000);
    assert_eq!(certificate.not_after, 1_767_323_045_000_000_000);
    assert_eq!(certificate.public_key_algorithm, Some("ECDSA"));
    assert_eq!(certificate.public_key_size, Some(256));
}

#[test]
fn reads_rsa_and_an_end_that_never_comes() {
    let certificate = one(RSA);
    assert_eq!(shown(certificate.subject_common_name.as_ref()), "rsa.example.com");
    assert_eq!(certificate.serial_number, "01");
    assert_eq!(
        (certificate.public_key_algorithm, certificate.public_key_size),
        (Some("RSA"), Some(1_024))
    );
    assert_eq!(certificate.not_before, 946_684_799_000_000_000);
    assert_eq!(
        certificate.not_after,
        i64::MAX,
        "9999-12-31 is beyond the range and stays at its end"
    );
    assert!(certificate.alternative_names.is_empty());
}

#[test]
fn reads_a_certificate_without_subject() {
    let certificate = one(EDWARDS);
    assert_eq!(certificate.subject_common_name, None);
    assert_eq!(
        (certificate.public_key_algorithm, certificate.public_key_size),
        (Some("Ed25519"), Some(256))
    );
    assert_eq!(
        certificate.not_before, 2_524_608_000_000_000_000,
        "GeneralizedTime from 2050 on"
    );
}

/// The head of a certificate in a public test capture (arkime_synthetic.pcap): its UTCTimes carry zones, which RFC 5280
/// forbids. Its key is left out: what stands before a fault is kept.
#[test]
fn reads_times_with_zones_and_up_to_a_fault() {
    let certificate = one(concat!(
        "3081b53081b2a00302010202041234abcd300d06092a864886f70d01010b0500302f310b3009060355040613025553310f300d0603",
        "55040a0c06546573744341310f300d06035504030c06546573744341302817113235313131353132303030302b3035333018133230",
        "3236313131353132303030302d30383030303b310b3009060355040613025553310f300d060355040a0c06545a54657374311b3019",
        "06035504030c12747a746573742e6578616d706c652e636f6d"
    ));
    assert!(certificate.readable);
    assert_eq!(shown(certificate.issuer_common_name.as_ref()), "TestCA");
    assert_eq!(shown(certificate.subject_common_name.as_ref()), "tztest.example.com");
    assert_eq!(certificate.serial_number, "1234ABCD");
    assert_eq!(certificate.not_before, 1_763_188_200_000_000_000);
    assert_eq!(certificate.not_after, 1_794_772_800_000_000_000);
    assert_eq!(certificate.public_key_algorithm, None);
}

#[test]
fn tells_whether_the_place_of_a_revocation_list_is_named() {
    assert_eq!(one(BY_URI).revocation_list, Some(true));
    assert_eq!(one(BY_RELATIVE_NAME).revocation_list, Some(true));
    assert_eq!(one(BY_SIGNER).revocation_list, Some(false), "who signs it is no place");
    assert_eq!(one(ELLIPTIC).revocation_list, Some(false), "other extensions");
    assert_eq!(one(RSA).revocation_list, Some(false), "no extensions");
    assert_eq!(one("3003020101").revocation_list, None, "nothing could be read");
}

/// What cannot be read to its end leaves the question open, whichever length is the bad one.
#[test]
fn extensions_that_are_not_read_whole_leave_the_revocation_list_open() {
    for at in [136, 138, 154, 156, 161, 163, 165] {
        let mut bytes = der(BY_SIGNER);
        bytes[at] = 0xff;
        let mut table = Certificates::new();
        let number = table.add(&bytes).unwrap();
        assert_eq!(table.get(number).unwrap().revocation_list, None, "octet {at}");
    }
    assert_eq!(names_a_place(&[0x30, 0x80]), None);
    assert_eq!(names_a_place(&[0x30, 0x02, 0x30, 0x00]), Some(false));
    assert_eq!(names_a_place(&[0x30, 0x04, 0x30, 0x02, 0xa0, 0x00]), Some(false));
}

#[test]
fn wide_strings_become_readable() {
    let value = der::Element {
        tag: der::BMP_STRING,
        content: &[0, b's', 0, 0xfc, 0x30, 0x42],
    };
    assert_eq!(text(&value).to_display(), "sü\u{3042}");
    let value = der::Element {
        tag: der::UNIVERSAL_STRING,
        content: &[0, 0, 0, b'x', 0, 1, 0xf6, 0x00],
    };
    assert_eq!(text(&value).to_display(), "x\u{1f600}");
}

#[test]
fn each_certificate_has_one_number() {
    let mut table = Certificates::new();
    assert!(table.is_empty());
    assert_eq!(table.add(&der(ELLIPTIC)), Some(0));
    assert_eq!(table.add(&der(RSA)), Some(1));
    assert_eq!(table.add(&der(ELLIPTIC)), Some(0));
    assert_eq!(table.len(), 2);
    assert_eq!(table.get(2), None);
}

#[test]
fn a_full_table_hands_out_no_number_but_knows_its_own() {
    let mut table = Certificates::new();
    for number in 0..u32::try_from(CAPACITY).unwrap() {
        assert_eq!(table.add(&number.to_be_bytes()), Some(number));
    }
    assert_eq!(table.add(b"one too many"), None);
    assert_eq!(table.add(&7_u32.to_be_bytes()), Some(7));
    assert_eq!(table.len(), CAPACITY);
}

#[test]
fn validity_is_told_for_a_time() {
    let mut table = Certificates::new();
    let number = table.add(&der(ELLIPTIC)).unwrap();
    let (from, to) = (1_704_164_645_000_000_000, 1_767_323_045_000_000_000);
    assert_eq!(table.validity(number, from - 1), NOT_YET);
    assert_eq!(table.validity(number, from), VALID);
    assert_eq!(
        table.validity(number, to + 999_999_999),
        VALID,
        "the last second counts"
    );
    assert_eq!(table.validity(number, to + 1_000_000_000), EXPIRED);
    let broken = table.add(b"no certificate").unwrap();
    assert_eq!(table.validity(broken, from), UNKNOWN);
    assert_eq!(table.validity(99, from), UNKNOWN);
    let endless = table.add(&der(RSA)).unwrap();
    assert_eq!(table.validity(endless, i64::MAX), VALID);
}

#[test]
fn names_are_bounded() {
    let mut general = Vec::new();
    for _ in 0..400 {
        general.extend_from_slice(&[0x82, 3, b'a', b'.', b'b']);
    }
    let wrap = |tag: u8, content: &[u8]| {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82][..], &length, content].concat()
    };
    let mut names = Vec::new();
    assert_eq!(alternative_names(&mut names, &wrap(der::SEQUENCE, &general)), None);
    assert_eq!(names.len(), ALTERNATIVE_NAMES);
}

proptest! {
    #[test]
    fn any_octets_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        Certificates::new().add(&bytes);
    }

    /// Single octets changed in a real certificate reach deeper than noise does.
    #[test]
    fn a_damaged_certificate_is_read_without_harm(at in 0..482_usize, value in any::<u8>(), length in 0..=482_usize) {
        let mut bytes = der(ELLIPTIC);
        bytes[at] = value;
        bytes.truncate(length);
        Certificates::new().add(&bytes);
    }
}

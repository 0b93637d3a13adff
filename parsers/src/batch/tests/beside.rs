//! What stands beside the columns of every flow: those of a live engine, keys to join flows by, certificates.

use super::*;
use crate::flow::join::{Keys, Spoken};
use crate::flow::record::Part;

#[test]
fn rows_of_a_live_engine_say_which_of_their_flow_they_are() {
    let first = Record {
        part: Some(Part {
            flow_id: 7,
            number: 0,
            ended: false,
            previous: None,
            packets_before: 0,
            bytes_before: 0,
            start: 1_700_000_000_123_456_789,
        }),
        ..bare()
    };
    let last = Record {
        part: Some(Part {
            flow_id: 7,
            number: 1,
            ended: true,
            previous: Some(3),
            packets_before: 6,
            bytes_before: 8_000_000_000_000,
            start: 1_700_000_000_999_999_999,
        }),
        ..bare()
    };
    let live = Layout {
        live: true,
        joins: false,
    };
    let batch = live.batch(&[first, last]);
    let promised = [
        ("edgewarden.flow_id", "u64", "7", "7"),
        ("edgewarden.part", "u32", "0", "1"),
        ("ended", "bool", "false", "true"),
        ("previous", "u32?", "-", "3"),
        ("before.packets", "u64", "0", "6"),
        ("before.bytes", "u64", "0", "8000000000000"),
        ("part.start", "i64", "1700000000123456789", "1700000000999999999"),
    ];
    let schema = batch.schema();
    let (common, own) = schema.fields().split_at(FLOW_COLUMNS.len());
    assert!(common.iter().map(|field| field.name()).eq(FLOW_COLUMNS));
    assert_eq!(LIVE_COLUMNS, promised.map(|(name, ..)| name));
    for (field, (name, kind, in_first, in_last)) in own.iter().zip(promised) {
        let null = if field.is_nullable() { "?" } else { "" };
        assert_eq!(
            (field.name().as_str(), type_name(field.data_type()) + null),
            (name, kind.into())
        );
        assert_eq!(
            (cell(&batch, name, 0).as_str(), cell(&batch, name, 1).as_str()),
            (in_first, in_last)
        );
    }
    assert_eq!(live.batch(&[]).num_columns(), schema.fields().len());
}

#[test]
fn keys_to_join_flows_by_stand_at_the_end() {
    let keyed = Record {
        keys: Some(Keys {
            isn: [Some(1), Some(u32::MAX)],
            client_random: Some([0, 1, 2, 3, 4, 5, 6, 0xff]),
            first_payload: Some(u64::MAX),
            rtp_source: Some(7),
            spoken: vec![Spoken {
                minute: 3,
                records: [4, 5],
                allocates: 6,
            }],
        }),
        ..bare()
    };
    let joins = Layout {
        live: false,
        joins: true,
    };
    let batch = joins.batch(&[keyed, bare()]);
    let promised = [
        ("join.isn.source", "u32", "1"),
        ("join.isn.destination", "u32", "4294967295"),
        ("join.client_random", "utf8", "00010203040506ff"),
        ("join.first_payload", "u64", "18446744073709551615"),
        ("join.rtp_ssrc", "u32", "7"),
        ("join.minutes", "[u32]", "[3]"),
        ("join.records.source", "[u32]", "[4]"),
        ("join.records.destination", "[u32]", "[5]"),
        ("join.allocates", "[u32]", "[6]"),
    ];
    assert_eq!(JOIN_COLUMNS, promised.map(|(name, ..)| name));
    let schema = batch.schema();
    let (_, own) = schema.fields().split_at(FLOW_COLUMNS.len());
    for (field, (name, kind, value)) in own.iter().zip(promised) {
        assert_eq!(
            (field.name().as_str(), type_name(field.data_type()).as_str()),
            (name, kind)
        );
        assert_eq!(
            (cell(&batch, name, 0).as_str(), cell(&batch, name, 1).as_str()),
            (value, if kind.starts_with('[') { "[]" } else { "-" })
        );
    }
    let both = Layout {
        live: true,
        joins: true,
    };
    let columns = both.batch(&[]);
    let names: Vec<String> = columns
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    assert_eq!(names, [&FLOW_COLUMNS[..], &LIVE_COLUMNS, &JOIN_COLUMNS].concat());
}

#[test]
fn certificates_have_a_row_each() {
    let mut table = Certificates::new();
    assert_eq!(table.add(b"no certificate"), Some(0));
    assert_eq!(table.add(b"nor this"), Some(1));
    let batch = certificates(&table, 1);
    let schema = batch.schema();
    let fields: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| {
            format!(
                "{} {}{}",
                field.name(),
                type_name(field.data_type()),
                if field.is_nullable() { "?" } else { "" }
            )
        })
        .collect();
    let promised = [
        "number u32",
        "sha256 utf8",
        "subject_common_name utf8?",
        "alternative_names [utf8]",
        "issuer_common_name utf8?",
        "not_before i64?",
        "not_after i64?",
        "serial_number utf8?",
        "public_key_algorithm utf8?",
        "public_key_size u32?",
        "revocation_list bool?",
    ];
    assert_eq!(fields, promised);
    assert_eq!(batch.num_rows(), 1);
    assert_eq!(cell(&batch, "number", 0), "1");
    // sha256sum
    assert_eq!(
        cell(&batch, "sha256", 0),
        "1915f3193682b3d51d5c5bf927771034d37a6788e4f444f70164bc110f8be8a3"
    );
    assert_eq!(
        cell(&batch, "not_before", 0),
        "-",
        "an unreadable certificate has no times"
    );
    assert_eq!(certificates(&table, 0).num_rows(), 2);
    assert_eq!(certificates(&table, 9).num_rows(), 0);
}

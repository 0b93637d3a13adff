//! The columns by which flows can be joined that are legs of one conversation.

use arrow_array::types::{UInt32Type, UInt64Type};

use super::cell::{hex, numbers, texts};
use super::columns::{maybe, Column};
use crate::flow::join::Keys;
use crate::flow::record::Record;

pub const COLUMNS: [Column; 5] = [
    maybe("join.isn.source", |rows| {
        numbers::<UInt32Type>(keys(rows).map(|keys| keys?.isn[0]))
    }),
    maybe("join.isn.destination", |rows| {
        numbers::<UInt32Type>(keys(rows).map(|keys| keys?.isn[1]))
    }),
    maybe("join.client_random", |rows| {
        texts(keys(rows), |keys, out| {
            keys.and_then(|keys| keys.client_random)
                .is_some_and(|random| hex(&random, out))
        })
    }),
    maybe("join.first_payload", |rows| {
        numbers::<UInt64Type>(keys(rows).map(|keys| keys?.first_payload))
    }),
    maybe("join.rtp_ssrc", |rows| {
        numbers::<UInt32Type>(keys(rows).map(|keys| keys?.rtp_source))
    }),
];

fn keys(rows: &[Record]) -> impl Iterator<Item = Option<&Keys>> {
    rows.iter().map(|row| row.keys.as_ref())
}

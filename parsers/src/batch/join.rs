//! The columns by which flows can be joined that are legs of one conversation.

use arrow_array::types::{UInt32Type, UInt64Type};
use arrow_array::ArrayRef;

use super::cell::{hex, number_lists, numbers, texts};
use super::columns::{always, maybe, Column};
use crate::flow::join::{Keys, Spoken};
use crate::flow::record::Record;

pub const COLUMNS: [Column; 9] = [
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
    always("join.minutes", |rows| spoken(rows, |spoken| spoken.minute)),
    always("join.records.source", |rows| spoken(rows, |spoken| spoken.records[0])),
    always("join.records.destination", |rows| {
        spoken(rows, |spoken| spoken.records[1])
    }),
    always("join.allocates", |rows| spoken(rows, |spoken| spoken.allocates)),
];

/// A number of each minute in which something was counted.
fn spoken(rows: &[Record], pick: fn(&Spoken) -> u32) -> ArrayRef {
    number_lists::<UInt32Type, _, _>(keys(rows), |keys| {
        keys.map(|keys| keys.spoken.as_slice())
            .unwrap_or_default()
            .iter()
            .map(pick)
    })
}

fn keys(rows: &[Record]) -> impl Iterator<Item = Option<&Keys>> {
    rows.iter().map(|row| row.keys.as_ref())
}

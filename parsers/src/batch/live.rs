//! The columns that rows of a live engine have beside those of every flow.

use arrow_array::types::{Int64Type, UInt32Type, UInt64Type};
use arrow_array::ArrayRef;

use super::cell::{flags, numbers};
use super::columns::{always, maybe, Column};
use crate::flow::record::{Part, Record};

pub const COLUMNS: [Column; 7] = [
    always("edgewarden.flow_id", |rows| counts(rows, |part| part.flow_id)),
    always("edgewarden.part", |rows| {
        numbers::<UInt32Type>(parts(rows).map(|part| Some(part.map_or(0, |part| part.number))))
    }),
    always("ended", |rows| {
        flags(parts(rows).map(|part| Some(part.is_none_or(|part| part.ended))))
    }),
    maybe("previous", |rows| {
        numbers::<UInt32Type>(parts(rows).map(|part| part?.previous))
    }),
    always("before.packets", |rows| counts(rows, |part| part.packets_before)),
    always("before.bytes", |rows| counts(rows, |part| part.bytes_before)),
    always("part.start", |rows| {
        numbers::<Int64Type>(
            rows.iter()
                .map(|row| Some(row.part.as_ref().map_or(row.start, |part| part.start))),
        )
    }),
];

fn parts(rows: &[Record]) -> impl Iterator<Item = Option<&Part>> {
    rows.iter().map(|row| row.part.as_ref())
}

fn counts(rows: &[Record], pick: fn(&Part) -> u64) -> ArrayRef {
    numbers::<UInt64Type>(parts(rows).map(|part| Some(part.map_or(0, pick))))
}

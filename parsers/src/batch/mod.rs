//! Records laid out in columns: the Arrow batches that cross to Python.
//!
//! Strategy: `COLUMNS` is the one list of what a flow row has; each entry makes its array from all records at once, so
//! that order, names and types cannot drift apart. Adding a column is adding an entry. Texts are made harmless here, on
//! their way out, and nowhere earlier.

mod cell;
mod cipher_names;
mod columns;
mod join;
mod live;

use std::sync::Arc;

use arrow_array::types::{Int64Type, UInt32Type};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema};

use crate::certificate::{Certificate, Certificates};
use crate::flow::record::Record;

use columns::{Column, COLUMNS};

/// Flows in one batch at most. A column of texts counts its octets in 31 bits (Arrow `utf8`); a text of 1,024 bytes, all of
/// them to be escaped, takes 8,192 octets: this many fill half of that.
pub const ROWS: usize = 131_072;

/// Names of the columns of `flows`, in order.
pub const FLOW_COLUMNS: [&str; COLUMNS.len()] = names(&COLUMNS);
/// Names of those that rows of a live engine have behind them.
pub const LIVE_COLUMNS: [&str; live::COLUMNS.len()] = names(&live::COLUMNS);
/// Names of those behind them all, where keys to join flows by are asked for.
pub const JOIN_COLUMNS: [&str; join::COLUMNS.len()] = names(&join::COLUMNS);

const fn names<const N: usize>(columns: &[Column; N]) -> [&'static str; N] {
    let mut names = [""; N];
    let mut at = 0;
    while at < N {
        names[at] = columns[at].name;
        at += 1;
    }
    names
}

/// One row for each record, in their order. The caller hands over at most `ROWS` at a time; what is beyond is left out.
pub fn flows(records: &[Record]) -> RecordBatch {
    Layout::default().batch(records)
}

/// Which columns there are beside those of every flow.
#[derive(Debug, Default, Clone, Copy)]
pub struct Layout {
    pub live: bool,
    pub joins: bool,
}

impl Layout {
    pub fn batch(self, records: &[Record]) -> RecordBatch {
        debug_assert!(records.len() <= ROWS, "more than one batch holds");
        let records = records.get(..ROWS).unwrap_or(records);
        let live = live::COLUMNS.iter().filter(|_| self.live);
        let joins = join::COLUMNS.iter().filter(|_| self.joins);
        let columns = COLUMNS.iter().chain(live).chain(joins);
        assemble(columns.map(|column| (column.name, column.nullable, (column.make)(records))))
    }
}

/// One row for each certificate from number `start` on. Times are null where the certificate could not be read.
pub fn certificates(table: &Certificates, start: u32) -> RecordBatch {
    let count = u32::try_from(table.len()).unwrap_or(u32::MAX);
    let numbers = (start..count).filter(|number| table.get(*number).is_some());
    let rows: Vec<&Certificate> = (start..count).filter_map(|number| table.get(number)).collect();
    let rows = || rows.iter().copied();
    let time =
        |pick: fn(&Certificate) -> i64| cell::numbers::<Int64Type>(rows().map(|row| row.readable.then(|| pick(row))));
    assemble(
        [
            ("number", false, cell::numbers::<UInt32Type>(numbers.map(Some))),
            (
                "sha256",
                false,
                cell::texts(rows(), |row, out| cell::hex(&row.sha256, out)),
            ),
            (
                "subject_common_name",
                true,
                cell::wire_texts(rows().map(|row| row.subject_common_name.as_ref())),
            ),
            (
                "alternative_names",
                false,
                cell::text_lists(rows(), |row| row.alternative_names.iter().map(|name| name.to_display())),
            ),
            (
                "issuer_common_name",
                true,
                cell::wire_texts(rows().map(|row| row.issuer_common_name.as_ref())),
            ),
            ("not_before", true, time(|row| row.not_before)),
            ("not_after", true, time(|row| row.not_after)),
            (
                "serial_number",
                true,
                cell::texts(rows(), |row, out| {
                    cell::put(out, &row.serial_number) && !row.serial_number.is_empty()
                }),
            ),
            (
                "public_key_algorithm",
                true,
                cell::texts(rows(), |row, out| {
                    row.public_key_algorithm.is_some_and(|name| cell::put(out, name))
                }),
            ),
            (
                "public_key_size",
                true,
                cell::numbers::<UInt32Type>(rows().map(|row| row.public_key_size)),
            ),
            (
                "revocation_list",
                true,
                cell::flags(rows().map(|row| row.revocation_list)),
            ),
        ]
        .into_iter(),
    )
}

/// Arrays of equal length side by side.
fn assemble(columns: impl Iterator<Item = (&'static str, bool, ArrayRef)>) -> RecordBatch {
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns
        .map(|(name, nullable, array)| (Field::new(name, array.data_type().clone(), nullable), array))
        .unzip();
    let schema = Arc::new(Schema::new(fields));
    // Every maker yields one cell a row and a null only where it may, so that this never fails; were it to, an empty
    // batch is better than the end of the process.
    let batch = RecordBatch::try_new(schema.clone(), arrays);
    debug_assert!(batch.is_ok(), "{batch:?}");
    batch.unwrap_or_else(|_| RecordBatch::new_empty(schema))
}

#[cfg(test)]
mod tests;

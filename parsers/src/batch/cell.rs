//! Makers of single columns: one cell a row, from an iterator over the rows.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, PrimitiveBuilder, StringBuilder};
use arrow_array::{ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveArray};

use crate::text::{write_hex, Text};

pub fn numbers<T: ArrowPrimitiveType>(cells: impl Iterator<Item = Option<T::Native>>) -> ArrayRef {
    Arc::new(cells.collect::<PrimitiveArray<T>>())
}

pub fn flags(cells: impl Iterator<Item = Option<bool>>) -> ArrayRef {
    Arc::new(cells.collect::<BooleanArray>())
}

/// `write` puts a row's text into the emptied string and says whether there is one.
pub fn texts<R>(rows: impl Iterator<Item = R>, mut write: impl FnMut(R, &mut String) -> bool) -> ArrayRef {
    let mut builder = StringBuilder::new();
    let mut cell = String::new();
    for row in rows {
        cell.clear();
        builder.append_option(write(row, &mut cell).then_some(&cell));
    }
    Arc::new(builder.finish())
}

/// Texts from the wire, made harmless.
pub fn wire_texts<'a>(cells: impl Iterator<Item = Option<&'a Text>>) -> ArrayRef {
    texts(cells, |cell, out| cell.map(|text| text.write_to(out)).is_some())
}

pub fn number_lists<T: ArrowPrimitiveType, R, L: Iterator<Item = T::Native>>(
    rows: impl Iterator<Item = R>,
    list: impl Fn(R) -> L,
) -> ArrayRef {
    let mut builder = ListBuilder::new(PrimitiveBuilder::<T>::new());
    for row in rows {
        for item in list(row) {
            builder.values().append_value(item);
        }
        builder.append(true);
    }
    Arc::new(builder.finish())
}

pub fn text_lists<R, L: Iterator<Item = String>>(rows: impl Iterator<Item = R>, list: impl Fn(R) -> L) -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new());
    for row in rows {
        for item in list(row) {
            builder.values().append_value(item);
        }
        builder.append(true);
    }
    Arc::new(builder.finish())
}

/// A cell's text; always there.
pub fn put(out: &mut String, text: &str) -> bool {
    out.push_str(text);
    true
}

/// Lower-case hex; no cell for no octets.
pub fn hex(octets: &[u8], out: &mut String) -> bool {
    write_hex(octets, out);
    !octets.is_empty()
}

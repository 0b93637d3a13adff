//! Makers of single columns: one cell a row, from an iterator over the rows.

use std::net::IpAddr;
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
    // Most columns of texts have few: rows without one are counted, and noted together.
    let mut without = 0;
    for row in rows {
        cell.clear();
        if !write(row, &mut cell) {
            without += 1;
            continue;
        }
        if without > 0 {
            builder.append_nulls(without);
            without = 0;
        }
        builder.append_value(&cell);
    }
    if without > 0 {
        builder.append_nulls(without);
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

/// An address as the standard library writes it, whose formatter takes ten times as long for one of version 4.
pub fn address(address: IpAddr, out: &mut String) -> bool {
    let IpAddr::V4(four) = address else {
        return put(out, &address.to_string());
    };
    for (place, octet) in four.octets().into_iter().enumerate() {
        if place > 0 {
            out.push('.');
        }
        for (digit, needed) in [
            (octet / 100, octet >= 100),
            (octet / 10 % 10, octet >= 10),
            (octet % 10, true),
        ] {
            if needed {
                out.push(char::from(b'0' + digit));
            }
        }
    }
    true
}

/// Lower-case hex; no cell for no octets.
pub fn hex(octets: &[u8], out: &mut String) -> bool {
    write_hex(octets, out);
    !octets.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray;
    use arrow_array::Array;

    #[test]
    fn addresses_are_as_the_library_writes_them() {
        let all = (0..=255_u8).map(|octet| IpAddr::from([octet, 255 - octet, octet / 10, 0]));
        for one in all.chain(["2001:db8::1".parse().unwrap()]) {
            let mut text = String::new();
            assert!(address(one, &mut text));
            assert_eq!(text, one.to_string());
        }
    }

    #[test]
    fn each_row_keeps_its_text_or_its_lack() {
        let rows = [None, Some("a"), None, None, Some(""), Some("b"), None];
        let made = texts(rows.iter(), |row, out| row.is_some_and(|text| put(out, text)));
        assert_eq!(made.as_string::<i32>().iter().collect::<Vec<_>>(), rows);
        let none = texts([1, 2].iter(), |_, _| false);
        assert_eq!((none.len(), none.null_count()), (2, 2));
        assert_eq!(texts(["x"].iter(), |row, out| put(out, row)).nulls(), None);
    }
}

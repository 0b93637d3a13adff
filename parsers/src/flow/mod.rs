//! Flows: the table that gathers the packets of one five-tuple, the first bytes of each direction in order, what makes a
//! packet a duplicate, and the record in which an ended flow leaves.

pub mod budget;
mod buffers;
pub mod continued;
pub mod duplicate;
mod holes;
pub mod join;
pub mod key;
pub mod record;
mod records;
pub mod stream;
pub mod table;
pub mod tcp;

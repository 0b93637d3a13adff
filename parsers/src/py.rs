//! The Python face: the only file that names pyo3. One list of what is exported (`parsers/_native.pyi` has the types).
//! Whole batches cross over, as Arrow's C data interface in capsules; the GIL is released while a block is worked on.

use std::sync::Arc;

use arrow_array::ffi::to_ffi;
use arrow_array::{Array, RecordBatch, StructArray};
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict, PyTuple};

use crate::batch;
use crate::capture::filter::{Instruction, Program};
use crate::capture::{self, Capture, Next};
use crate::engine::{self, Limits};
use crate::facts::SERVICES;
use crate::flow::record::{ANSWERED, INITIATORS};
use crate::observation::{LIMIT, OBSERVATION};
use crate::packet::{decode, Outcome};
use crate::tables;

/// Most first packets of a flow whose places are kept.
const POSITIONS_LIMIT: usize = 16;

/// Octets that `walk` hands over at a time, as a reader of files does.
const WALK_BLOCK: usize = 4 << 20;

#[pyclass(frozen, name = "Tables")]
struct Tables {
    inner: Arc<tables::Tables>,
}

#[pymethods]
impl Tables {
    #[new]
    #[pyo3(signature = (*, prefixes=vec![], names=vec![], ports=vec![], listeners=vec![], instants=vec![], media_packets=0))]
    fn new(
        prefixes: Vec<(String, u32)>,
        names: Vec<(String, bool, u32)>,
        ports: Vec<u16>,
        listeners: Vec<(u32, u8, u16)>,
        instants: Vec<i64>,
        media_packets: u32,
    ) -> PyResult<Self> {
        let mut inner = tables::Tables::new(&prefixes, &names, &ports, &listeners, &instants)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        inner.media_packets = media_packets;
        Ok(Tables { inner: Arc::new(inner) })
    }
}

#[pyclass(frozen, name = "Batch")]
struct Batch {
    inner: RecordBatch,
}

#[pymethods]
impl Batch {
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyCapsule>, Bound<'py, PyCapsule>)> {
        // The protocol lets a producer ignore the wish; pyarrow casts.
        let _ = requested_schema;
        let columns = StructArray::from(self.inner.clone());
        let (array, schema) = to_ffi(&columns.to_data()).map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok((
            PyCapsule::new_with_value(py, schema, c"arrow_schema")?,
            PyCapsule::new_with_value(py, array, c"arrow_array")?,
        ))
    }

    fn __len__(&self) -> usize {
        self.inner.num_rows()
    }
}

#[pyclass(name = "Engine")]
struct Engine {
    layout: batch::Layout,
    inner: engine::Engine,
}

fn no_capture(number: u32) -> PyErr {
    PyIndexError::new_err(format!("no capture {number} was announced"))
}

#[pymethods]
impl Engine {
    #[allow(clippy::too_many_arguments)] // keyword arguments in Python
    #[new]
    #[pyo3(signature = (tables=None, *, max_flows=1_000_000, stream_memory=268_435_456, positions=0, time_from=None, time_to=None, live=false, part=300_000_000_000, joins=false))]
    fn new(
        tables: Option<&Tables>,
        max_flows: usize,
        stream_memory: usize,
        positions: usize,
        time_from: Option<i64>,
        time_to: Option<i64>,
        live: bool,
        part: i64,
        joins: bool,
    ) -> PyResult<Self> {
        if positions > POSITIONS_LIMIT {
            return Err(PyValueError::new_err(format!(
                "positions: 0 to {POSITIONS_LIMIT}, not {positions}"
            )));
        }
        if max_flows == 0 {
            return Err(PyValueError::new_err("max_flows: 1 or more"));
        }
        if part < 1 {
            return Err(PyValueError::new_err("part: 1 ns or more"));
        }
        let tables = tables.map_or_else(Arc::default, |tables| Arc::clone(&tables.inner));
        let limits = Limits {
            max_flows,
            stream_memory,
            positions,
            from: time_from,
            to: time_to,
            part: live.then_some(part),
            joins,
        };
        Ok(Engine {
            layout: batch::Layout { live, joins },
            inner: engine::Engine::new(tables, limits),
        })
    }

    #[pyo3(signature = (interface=None))]
    fn add_capture(&mut self, interface: Option<u32>) -> u32 {
        self.inner.add_capture(interface)
    }

    fn add_ring(&mut self) -> u32 {
        self.inner.add_ring()
    }

    fn filter(&mut self, link_type: u16, program: Vec<(u16, u8, u8, u32)>) -> PyResult<()> {
        let instructions: Vec<Instruction> = program
            .into_iter()
            .map(|(code, jt, jf, k)| Instruction { code, jt, jf, k })
            .collect();
        let program = Program::new(&instructions).map_err(PyValueError::new_err)?;
        self.inner.filter(link_type, program);
        Ok(())
    }

    fn feed(&mut self, py: Python<'_>, capture: u32, data: &[u8]) -> PyResult<()> {
        let inner = &mut self.inner;
        if py.detach(|| inner.feed(capture, data)) {
            Ok(())
        } else {
            Err(no_capture(capture))
        }
    }

    fn finish(&mut self, py: Python<'_>, capture: u32) -> PyResult<()> {
        let inner = &mut self.inner;
        if py.detach(|| inner.finish(capture)) {
            Ok(())
        } else {
            Err(no_capture(capture))
        }
    }

    fn advance(&mut self, py: Python<'_>, time: i64) {
        let inner = &mut self.inner;
        py.detach(|| inner.advance(time));
    }

    fn wants(&mut self) -> Option<u32> {
        self.inner.wants()
    }

    fn take(&mut self, py: Python<'_>) -> Batch {
        let layout = self.layout;
        let inner = &mut self.inner;
        Batch {
            inner: py.detach(|| layout.batch(&inner.take(batch::ROWS))),
        }
    }

    fn close(&mut self, py: Python<'_>) {
        let inner = &mut self.inner;
        py.detach(|| inner.close());
    }

    #[pyo3(signature = (start=0))]
    fn observations<'py>(&self, py: Python<'py>, start: usize) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let all = self.inner.observations();
        all.get(start..)
            .unwrap_or_default()
            .iter()
            .map(|tuple| PyTuple::new(py, tuple))
            .collect()
    }

    #[pyo3(signature = (start=0))]
    fn certificates(&self, start: u32) -> Batch {
        Batch {
            inner: batch::certificates(self.inner.certificates(), start),
        }
    }

    fn capture_info<'py>(&self, py: Python<'py>, capture: u32) -> PyResult<Bound<'py, PyDict>> {
        let (container, ledger) = self.inner.capture(capture).ok_or_else(|| no_capture(capture))?;
        let info = container.info();
        let result = PyDict::new(py);
        result.set_item("first", ledger.first)?;
        result.set_item("last", ledger.last)?;
        result.set_item("packets", ledger.packets)?;
        result.set_item("bytes", ledger.bytes)?;
        result.set_item("kind", info.kind.map(capture::Kind::name))?;
        result.set_item("complete", info.complete)?;
        let unfiltered = ledger.unfiltered.map(|link| {
            format!("it has packets of link type {link}, for which the filter has no meaning: they count as filtered")
        });
        result.set_item("error", info.error.as_deref().or(unfiltered.as_deref()))?;
        result.set_item("interfaces", info.interfaces)?;
        let accounting = PyDict::new(py);
        for (name, value) in engine::ACCOUNTING.iter().zip(ledger.accounting.values()) {
            accounting.set_item(name, value)?;
        }
        result.set_item("accounting", accounting)?;
        let quality = PyDict::new(py);
        for (name, value) in engine::QUALITY.iter().zip(ledger.quality.values()) {
            quality.set_item(name, value)?;
        }
        result.set_item("quality", quality)?;
        Ok(result)
    }

    fn totals<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let totals = self.inner.totals();
        let result = PyDict::new(py);
        result.set_item("flows", totals.flows)?;
        result.set_item("tcp_flows", totals.tcp_flows)?;
        result.set_item("tcp_one_way", totals.tcp_one_way)?;
        result.set_item("ip_packets", totals.ip_packets)?;
        result.set_item("live", self.inner.live())?;
        Ok(result)
    }
}

/// Packets and bytes of a whole capture: containers and headers read, nothing tracked.
#[pyfunction]
fn walk(py: Python<'_>, data: &[u8]) -> (u64, u64) {
    py.detach(|| {
        let mut capture = Capture::new(None);
        let (mut packets, mut bytes) = (0_u64, 0_u64);
        let mut blocks = data.chunks(WALK_BLOCK);
        loop {
            match blocks.next() {
                Some(block) => capture.feed(block),
                None => capture.finish(),
            }
            loop {
                match capture.next_packet() {
                    Next::Packet(packet) => {
                        packets += 1;
                        if let Outcome::Ip(decoded) = &decode(packet.link, packet.data, packet.wire_len) {
                            bytes += u64::from(decoded.ip.length);
                        }
                    }
                    Next::NeedMore => break,
                    Next::End => return (packets, bytes),
                }
            }
        }
    })
}

#[pyfunction]
fn probe_capture(head: &[u8]) -> Option<&'static str> {
    capture::probe(head).map(capture::Kind::name)
}

#[pymodule]
mod _native {
    use super::*;

    #[pymodule_export]
    use super::{probe_capture, walk, Batch, Engine, Tables};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        module.add("VERSION", env!("CARGO_PKG_VERSION"))?;
        module.add("SERVICES", PyTuple::new(py, SERVICES)?)?;
        module.add("FLOW_COLUMNS", PyTuple::new(py, batch::FLOW_COLUMNS)?)?;
        module.add("LIVE_COLUMNS", PyTuple::new(py, batch::LIVE_COLUMNS)?)?;
        module.add("JOIN_COLUMNS", PyTuple::new(py, batch::JOIN_COLUMNS)?)?;
        module.add("OBSERVATION_LIMIT", LIMIT)?;
        module.add("OBSERVATION", PyTuple::new(py, OBSERVATION)?)?;
        module.add("INITIATORS", PyTuple::new(py, INITIATORS)?)?;
        module.add("ANSWERED", PyTuple::new(py, ANSWERED)?)?;
        module.add("ACCOUNTING", PyTuple::new(py, engine::ACCOUNTING)?)?;
        module.add("QUALITY", PyTuple::new(py, engine::QUALITY)?)?;
        Ok(())
    }
}

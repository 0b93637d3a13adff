//! Classic BPF (McCanne and Jacobson 1993), as libpcap compiles an expression of pcap-filter(7) into it: which packets
//! are wanted.
//!
//! A program is looked through when it is given: jumps go forward and stay inside, scratch cells exist, the end is a
//! return. So it ends after as many steps as it has instructions, whatever the packet holds. Loads are of the packet
//! alone: what only the kernel knows (Linux's negative offsets) is refused. A load behind the captured octets and a
//! division by zero mean that the packet is not wanted, as in libpcap.

/// `BPF_MAXINSNS` of Linux.
const LONGEST: usize = 4_096;
/// `BPF_MEMWORDS`.
const CELLS: usize = 16;
/// `SKF_LL_OFF` and above are Linux's own: offsets that no packet has.
const NEGATIVE: u32 = 0x8000_0000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    pub code: u16,
    pub jt: u8,
    pub jf: u8,
    pub k: u32,
}

/// What an operator or a jump compares with.
#[derive(Debug, Clone, Copy)]
enum Operand {
    K(u32),
    X,
}

#[derive(Debug, Clone, Copy)]
enum Size {
    Word,
    Half,
    Byte,
}

#[derive(Debug, Clone, Copy)]
enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Or,
    And,
    Xor,
    Left,
    Right,
}

#[derive(Debug, Clone, Copy)]
enum Test {
    Equal,
    Greater,
    GreaterOrEqual,
    AnyBit,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    LoadAt(Size, u32),
    LoadAtX(Size, u32),
    LoadLength,
    LoadNumber(u32),
    LoadCell(usize),
    LoadLengthToX,
    LoadNumberToX(u32),
    LoadCellToX(usize),
    /// Four times the low half of an octet: the length of an IPv4 header.
    LoadHeaderLengthToX(u32),
    Store(usize),
    StoreX(usize),
    Calculate(Operator, Operand),
    Negate,
    Jump(usize),
    Branch(Test, Operand, usize, usize),
    ReturnNumber(u32),
    ReturnA,
    AToX,
    XToA,
}

#[derive(Debug, Clone)]
pub struct Program {
    steps: Vec<Step>,
}

impl Program {
    /// Looks the program through. The error names the instruction, counted from 0 as tcpdump -d does.
    pub fn new(instructions: &[Instruction]) -> Result<Program, String> {
        if instructions.is_empty() || instructions.len() > LONGEST {
            return Err(format!(
                "a filter has 1 to {LONGEST} instructions, not {}",
                instructions.len()
            ));
        }
        let steps: Vec<Step> = instructions
            .iter()
            .enumerate()
            .map(|(at, instruction)| {
                read(at, *instruction, instructions.len()).map_err(|why| format!("instruction {at} {why}"))
            })
            .collect::<Result<_, _>>()?;
        match steps.last() {
            Some(Step::ReturnNumber(_) | Step::ReturnA) => Ok(Program { steps }),
            _ => Err(format!("instruction {} is no return", steps.len() - 1)),
        }
    }

    /// Whether the packet is wanted. `length` is its length on the wire.
    pub fn wants(&self, packet: &[u8], length: u32) -> bool {
        self.run(packet, length).is_some_and(|octets| octets != 0)
    }

    /// None: a load outside of the packet, or a division by zero.
    fn run(&self, packet: &[u8], length: u32) -> Option<u32> {
        let (mut a, mut x) = (0_u32, 0_u32);
        let mut cells = [0_u32; CELLS];
        let mut at = 0;
        loop {
            let step = *self.steps.get(at)?;
            at += 1;
            match step {
                Step::LoadAt(size, k) => a = load(packet, k, size)?,
                Step::LoadAtX(size, k) => a = load(packet, x.checked_add(k)?, size)?,
                Step::LoadLength => a = length,
                Step::LoadNumber(k) => a = k,
                Step::LoadCell(k) => a = *cells.get(k)?,
                Step::LoadLengthToX => x = length,
                Step::LoadNumberToX(k) => x = k,
                Step::LoadCellToX(k) => x = *cells.get(k)?,
                Step::LoadHeaderLengthToX(k) => x = (load(packet, k, Size::Byte)? & 15) * 4,
                Step::Store(k) => *cells.get_mut(k)? = a,
                Step::StoreX(k) => *cells.get_mut(k)? = x,
                Step::Calculate(operator, operand) => a = calculate(operator, a, operand.value(x))?,
                Step::Negate => a = a.wrapping_neg(),
                Step::Jump(to) => at = to,
                Step::Branch(test, operand, yes, no) => {
                    let other = operand.value(x);
                    let holds = match test {
                        Test::Equal => a == other,
                        Test::Greater => a > other,
                        Test::GreaterOrEqual => a >= other,
                        Test::AnyBit => a & other != 0,
                    };
                    at = if holds { yes } else { no };
                }
                Step::ReturnNumber(k) => return Some(k),
                Step::ReturnA => return Some(a),
                Step::AToX => x = a,
                Step::XToA => a = x,
            }
        }
    }
}

impl Operand {
    fn value(self, x: u32) -> u32 {
        match self {
            Operand::K(k) => k,
            Operand::X => x,
        }
    }
}

fn load(packet: &[u8], at: u32, size: Size) -> Option<u32> {
    let from = packet.get(at as usize..)?;
    match size {
        Size::Word => from.first_chunk().map(|octets| u32::from_be_bytes(*octets)),
        Size::Half => from.first_chunk().map(|octets| u16::from_be_bytes(*octets).into()),
        Size::Byte => from.first().map(|octet| u32::from(*octet)),
    }
}

fn calculate(operator: Operator, a: u32, b: u32) -> Option<u32> {
    Some(match operator {
        Operator::Add => a.wrapping_add(b),
        Operator::Subtract => a.wrapping_sub(b),
        Operator::Multiply => a.wrapping_mul(b),
        Operator::Divide => a.checked_div(b)?,
        Operator::Modulo => a.checked_rem(b)?,
        Operator::Or => a | b,
        Operator::And => a & b,
        Operator::Xor => a ^ b,
        // 32 and more leave nothing.
        Operator::Left => a.checked_shl(b).unwrap_or(0),
        Operator::Right => a.checked_shr(b).unwrap_or(0),
    })
}

/// One instruction of `count`, the one at `at`. The numbers are those of <net/bpf.h>.
fn read(at: usize, instruction: Instruction, count: usize) -> Result<Step, &'static str> {
    let Instruction { code, jt, jf, k } = instruction;
    let cell = || {
        let number = k as usize;
        if number < CELLS {
            Ok(number)
        } else {
            Err("uses a scratch cell that is not there")
        }
    };
    let fixed = || {
        if k < NEGATIVE {
            Ok(k)
        } else {
            Err("asks what only the kernel knows of a packet (direction, interface, a tag that it took out)")
        }
    };
    let to = |distance: usize| {
        // `count` is small: no overflow where the distance is.
        let target = (at + 1).saturating_add(distance);
        if target < count {
            Ok(target)
        } else {
            Err("jumps out of the program or backwards (as protochain does)")
        }
    };
    let operand = if code & 0x08 == 0 { Operand::K(k) } else { Operand::X };
    Ok(match code {
        0x00 => Step::LoadNumber(k),
        0x20 => Step::LoadAt(Size::Word, fixed()?),
        0x28 => Step::LoadAt(Size::Half, fixed()?),
        0x30 => Step::LoadAt(Size::Byte, fixed()?),
        0x40 => Step::LoadAtX(Size::Word, fixed()?),
        0x48 => Step::LoadAtX(Size::Half, fixed()?),
        0x50 => Step::LoadAtX(Size::Byte, fixed()?),
        0x60 => Step::LoadCell(cell()?),
        0x80 => Step::LoadLength,
        0x01 => Step::LoadNumberToX(k),
        0x61 => Step::LoadCellToX(cell()?),
        0x81 => Step::LoadLengthToX,
        0xb1 => Step::LoadHeaderLengthToX(fixed()?),
        0x02 => Step::Store(cell()?),
        0x03 => Step::StoreX(cell()?),
        0x84 => Step::Negate,
        0x05 => Step::Jump(to(k as usize)?),
        0x15 | 0x1d => Step::Branch(Test::Equal, operand, to(jt.into())?, to(jf.into())?),
        0x25 | 0x2d => Step::Branch(Test::Greater, operand, to(jt.into())?, to(jf.into())?),
        0x35 | 0x3d => Step::Branch(Test::GreaterOrEqual, operand, to(jt.into())?, to(jf.into())?),
        0x45 | 0x4d => Step::Branch(Test::AnyBit, operand, to(jt.into())?, to(jf.into())?),
        0x06 => Step::ReturnNumber(k),
        0x16 => Step::ReturnA,
        0x07 => Step::AToX,
        0x87 => Step::XToA,
        _ => {
            let operator = match code & !0x08 {
                0x04 => Operator::Add,
                0x14 => Operator::Subtract,
                0x24 => Operator::Multiply,
                0x34 => Operator::Divide,
                0x44 => Operator::Or,
                0x54 => Operator::And,
                0x64 => Operator::Left,
                0x74 => Operator::Right,
                0x94 => Operator::Modulo,
                0xa4 => Operator::Xor,
                _ => return Err("is none of classic BPF"),
            };
            if let (Operator::Divide | Operator::Modulo, Operand::K(0)) = (operator, operand) {
                return Err("divides by zero");
            }
            Step::Calculate(operator, operand)
        }
    })
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;

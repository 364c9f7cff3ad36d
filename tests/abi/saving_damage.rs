//! Saved sessions that are damaged, by chance or on purpose: an error that says so, and nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rmlx::ffi::status::{RMLX_ERROR_CONTEXT_FULL, RMLX_ERROR_INVALID_SAVE, RMLX_ERROR_OUT_OF_MEMORY};
use serde_json::{Value, json};
use twox_hash::XxHash3_128;

use crate::answers::{Options, Session};
use crate::fixtures;
use crate::harness::{Media, Model, Prompt};

/// Bytes of a part's checksum.
const CHECKSUM: usize = 16;
/// Bytes before the header, and those of them that the checksum covers.
const PRELUDE: usize = 72;
const COVERED: usize = 40;

/// As small as one can be.
fn small(model: &Model) -> Vec<u8> {
    let session = Session::new(model);
    session.answer(&Prompt::new().tokens(&[300, 301]), &Options::endless(1));
    session.saved().expect("bytes")
}

/// With a picture, windows and a place to go back to.
fn large(model: &Model) -> Vec<u8> {
    let session = Session::new(model);
    let pixels: Vec<u8> = (0..96 * 96).map(|i| (i * 10 % 251) as u8).collect();
    let image = Media::gray(96, 96, &pixels).expect("an image");
    let text = "long enough ".repeat(30);
    session.answer(&Prompt::new().message("user").media(&image).text(&text), &Options::endless(3));
    session.saved().expect("bytes")
}

fn number(bytes: &[u8], at: usize) -> usize {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes")) as usize
}

fn header(bytes: &[u8]) -> Value {
    serde_json::from_slice(&bytes[PRELUDE..PRELUDE + number(bytes, 16)]).expect("JSON")
}

/// The same with another header, and checksums that say nothing is wrong.
fn with_header(bytes: &[u8], header: &str) -> Vec<u8> {
    let behind = &bytes[PRELUDE + number(bytes, 16)..];
    let total = PRELUDE + header.len() + behind.len();
    let mut made = bytes[..16].to_vec();
    made.extend((header.len() as u64).to_le_bytes());
    made.extend(&bytes[24..32]);
    made.extend((total as u64).to_le_bytes());
    made.extend([0; 32]);
    made.extend(header.as_bytes());
    made.extend(behind);
    signed(made)
}

/// Puts a right checksum on the front.
fn signed(mut bytes: Vec<u8>) -> Vec<u8> {
    let front = PRELUDE + number(&bytes, 16) + CHECKSUM * number(&bytes, 24);
    let mut hash = blake3::Hasher::new();
    hash.update(&bytes[..COVERED]).update(&bytes[PRELUDE..front]);
    bytes[COVERED..PRELUDE].copy_from_slice(hash.finalize().as_bytes());
    bytes
}

#[track_caller]
fn refused(model: &Model, bytes: &[u8], what: &str) -> String {
    let failure = Session::load_bytes(model, bytes).map(drop).expect_err(what);
    assert_eq!(failure.code, RMLX_ERROR_INVALID_SAVE, "{what}: {failure:?}");
    failure.details["fault"].as_str().expect("a fault").to_owned()
}

/// A source of numbers that is the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most.max(1)
    }
}

#[test]
fn every_byte_counts() {
    let model = fixtures::model();
    let whole = small(model);
    println!("{} bytes", whole.len());
    let mut faults = std::collections::BTreeMap::<String, usize>::new();
    let mut damaged = whole.clone();
    for (at, byte) in whole.iter().enumerate() {
        damaged[at] = byte ^ (1 << (at % 8));
        *faults.entry(refused(model, &damaged, &format!("byte {at}"))).or_default() += 1;
        damaged[at] = *byte;
    }
    assert_eq!((faults["format"], faults["version"]), (8, 4), "{faults:?}");
    assert_eq!(faults["damaged"], whole.len() - 12, "{faults:?}");
    Session::load_bytes(model, &damaged).expect("it is whole again");
}

#[test]
fn a_part_of_it_is_not_enough_and_more_is_too_much() {
    let model = fixtures::model();
    let whole = small(model);
    let lengths = (0..whole.len().min(2000)).chain((2000..whole.len()).step_by(97)).chain([whole.len() - 1]);
    for len in lengths {
        let fault = refused(model, &whole[..len], &format!("{len} bytes"));
        assert_eq!(fault, if len < 8 { "format" } else { "damaged" }, "{len} bytes");
    }
    assert_eq!(refused(model, &[&whole[..], &[0]].concat(), "a byte more"), "damaged");
}

#[test]
fn random_damage_is_seen() {
    let model = fixtures::model();
    let wholes = [small(model), large(model)];
    let mut random = Random(2026);
    for round in 0..4000 {
        let whole = &wholes[usize::from(round % 16 == 0)];
        let mut bytes = whole.clone();
        for _ in 0..=random.below(3) {
            let (at, count) = (random.below(bytes.len()), 1 + random.below(64));
            let end = (at + count).min(bytes.len());
            match random.below(5) {
                0 => bytes[at..end].iter_mut().for_each(|byte| *byte = random.below(256) as u8),
                1 => drop(bytes.drain(at..end)),
                2 => drop(bytes.splice(at..at, vec![random.below(256) as u8; count])),
                3 => bytes.truncate(at),
                _ => bytes.rotate_left(at),
            }
            if bytes.is_empty() {
                break;
            }
        }
        if bytes != *whole {
            refused(model, &bytes, &format!("round {round}"));
        }
    }
    wholes.iter().for_each(|whole| drop(Session::load_bytes(model, whole).expect("a session")));
}

/// Every number, text, list and member of a JSON value, changed in some way.
fn mutate(value: &mut Value, random: &mut Random) {
    const NUMBERS: [i64; 12] = [0, 1, -1, 2, 63, 64, 1023, 65_536, 1 << 31, 1 << 40, i64::MAX, i64::MIN];
    match value {
        Value::Object(members) => {
            let names: Vec<String> = members.keys().cloned().collect();
            let name = &names[random.below(names.len())];
            match random.below(12) {
                0 => drop(members.remove(name)),
                1 => drop(members.insert("other".into(), json!(1))),
                _ => mutate(&mut members[name], random),
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let at = random.below(items.len());
            match random.below(8) {
                0 => drop(items.remove(at)),
                1 => items.push(items[at].clone()),
                2 => items.swap(0, at),
                3 => *items = vec![],
                _ => mutate(&mut items[at], random),
            }
        }
        Value::Number(number) => {
            let near = number.as_i64().unwrap_or(0).wrapping_add(random.below(9) as i64 - 4);
            let far = NUMBERS[random.below(NUMBERS.len())];
            *value = json!(if random.below(2) == 0 { near } else { far });
        }
        other => *other = [json!(null), json!(7), json!("x"), json!([]), json!(1.5)][random.below(5)].clone(),
    }
}

/// Somebody who makes checksums right: what cannot be is an error, and what is taken does no harm.
#[test]
fn a_header_that_lies_harms_nobody() {
    let model = fixtures::model();
    let wholes = [small(model), large(model)];
    let mut random = Random(12);
    let (mut taken, mut tried) = (0, 0);
    for round in 0..3000 {
        let whole = &wholes[round % 2];
        let mut lie = header(whole);
        (0..=random.below(2)).for_each(|_| mutate(&mut lie, &mut random));
        if lie == header(whole) {
            continue;
        }
        tried += 1;
        let bytes = with_header(whole, &lie.to_string());
        let outcome = catch_unwind(AssertUnwindSafe(|| Session::load_bytes(model, &bytes)));
        match outcome.expect("no panic") {
            Ok(session) => {
                taken += 1;
                session.answer(&Prompt::new().tokens(&[300, 301, 302, 303]), &Options::endless(2));
            }
            Err(failure) => {
                let codes = [RMLX_ERROR_INVALID_SAVE, RMLX_ERROR_CONTEXT_FULL, RMLX_ERROR_OUT_OF_MEMORY];
                assert!(codes.contains(&failure.code), "round {round}: {failure:?}");
            }
        }
    }
    println!("{taken} of {tried} were taken");
    assert!(tried > 2000 && taken < tried / 4, "{taken} of {tried}");
    let header = header(&wholes[0]);
    assert!(Session::load_bytes(model, &with_header(&wholes[0], &header.to_string())).is_ok());
}

#[test]
fn what_a_header_may_not_say_is_told_apart() {
    let model = fixtures::model();
    let whole = large(model);
    let lie = |change: &dyn Fn(&mut Value)| {
        let mut header = header(&whole);
        change(&mut header);
        refused(model, &with_header(&whole, &header.to_string()), &header.to_string())
    };
    assert_eq!(lie(&|h| h["layers"][0]["dtype"] = json!("bfloat16")), "dtype");
    assert_eq!(lie(&|h| h["layers"][0]["head_dim"] = json!(1)), "layers");
    assert_eq!(lie(&|h| h["layers"].as_array_mut().expect("layers").truncate(1)), "layers");
    assert_eq!(lie(&|h| h["snapshot"] = json!("00")), "snapshot");
    assert_eq!(lie(&|h| h["states"] = json!([])), "damaged");
    assert_eq!(lie(&|h| h["states"][0]["positions"] = json!(1u64 << 62)), "damaged");
    assert_eq!(lie(&|h| h["media"][0]["hash"] = json!("x")), "damaged");
    // Absurd lengths in the prelude.
    for (at, value) in [(16, u64::MAX), (16, 1 << 40), (24, u64::MAX), (24, 1 << 60), (32, u64::MAX), (32, 0)]
    {
        let mut bytes = whole.clone();
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        assert_eq!(refused(model, &bytes, "a length"), "damaged");
    }
    // An id that is no token, with its checksum made right.
    let front = PRELUDE + number(&whole, 16) + CHECKSUM * number(&whole, 24);
    let ids =
        front..front + 4 * header(&whole)["states"][0]["positions"].as_u64().expect("a number") as usize;
    let mut bytes = whole.clone();
    bytes[front + 4..front + 8].copy_from_slice(&u32::MAX.to_le_bytes());
    let table = PRELUDE + number(&whole, 16);
    let checksum = XxHash3_128::oneshot(&bytes[ids]).to_le_bytes();
    bytes[table..table + CHECKSUM].copy_from_slice(&checksum);
    assert_eq!(refused(model, &signed(bytes), "an id"), "damaged");
}

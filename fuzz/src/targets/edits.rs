//! JSON that is changed here and there by what an input says, so that it stays JSON.

use arbitrary::Unstructured;
use serde_json::{Value, json};

/// Numbers at which sizes, counts and offsets go wrong.
const NUMBERS: [i64; 16] =
    [0, 1, 2, 3, 7, 8, 31, 64, 255, 65_536, 1 << 31, 1 << 32, 1 << 53, i64::MAX, -1, i64::MIN];

/// Up to four changes.
pub fn edit(value: &mut Value, input: &mut Unstructured) -> arbitrary::Result<()> {
    for _ in 0..input.int_in_range(1..=4)? {
        change(value, input)?;
    }
    Ok(())
}

/// Goes down some way and changes what is there.
fn change(value: &mut Value, input: &mut Unstructured) -> arbitrary::Result<()> {
    let deeper = input.ratio(7, 8)?;
    match value {
        Value::Object(members) if deeper && !members.is_empty() => {
            let at = input.choose_index(members.len())?;
            let name = members.keys().nth(at).cloned().unwrap_or_default();
            match input.int_in_range(0..=15)? {
                0 => drop(members.remove(&name)),
                1 => drop(members.insert(text(input)?, scalar(input)?)),
                2 => {
                    let copied = members[&name].clone();
                    members.insert(text(input)?, copied);
                }
                3 => {
                    let other = members.keys().nth(input.choose_index(members.len())?).cloned();
                    let copied = members[&other.unwrap_or_default()].clone();
                    members.insert(name, copied);
                }
                _ => change(&mut members[&name], input)?,
            }
        }
        Value::Array(items) if deeper && !items.is_empty() => {
            let at = input.choose_index(items.len())?;
            match input.int_in_range(0..=9)? {
                0 => drop(items.remove(at)),
                1 => items.insert(at, scalar(input)?),
                2 => items.push(items[at].clone()),
                _ => change(&mut items[at], input)?,
            }
        }
        Value::Number(number) if input.ratio(1, 2)? => {
            let near = number.as_i64().unwrap_or(0).wrapping_add(input.int_in_range(-9..=9)?);
            *value = json!(near);
        }
        Value::String(spelled) if input.ratio(1, 2)? => {
            let at = input.int_in_range(0..=spelled.chars().count())?;
            let at = spelled.char_indices().nth(at).map_or(spelled.len(), |(at, _)| at);
            spelled.insert_str(at, &text(input)?);
        }
        _ => *value = scalar(input)?,
    }
    Ok(())
}

/// A small value of any kind.
pub fn scalar(input: &mut Unstructured) -> arbitrary::Result<Value> {
    Ok(match input.int_in_range(0..=9)? {
        0 => Value::Null,
        1 => json!(input.arbitrary::<bool>()?),
        2..=4 => json!(NUMBERS[input.choose_index(NUMBERS.len())?]),
        5 => json!(input.arbitrary::<f64>()?),
        6 => json!([]),
        7 => json!([scalar(input)?, scalar(input)?]),
        8 => json!({ text(input)?: scalar(input)? }),
        _ => json!(text(input)?),
    })
}

/// A short text; often one that means something to somebody.
pub fn text(input: &mut Unstructured) -> arbitrary::Result<String> {
    const KNOWN: [&str; 24] = [
        "weight",
        "scales",
        "biases",
        "language_model.",
        "model.",
        "bits",
        "group_size",
        "mode",
        "affine",
        "mxfp4",
        "BF16",
        "U32",
        "..",
        "/",
        "model-00001-of-00002.safetensors",
        "<bos>",
        "<|image|>",
        "<|turn>user\n",
        "{{ x }}",
        "{%",
        "\u{0}",
        "\u{1F600}",
        "\u{301}",
        "",
    ];
    match input.ratio(2, 3)? {
        true => Ok(KNOWN[input.choose_index(KNOWN.len())?].to_owned()),
        false => {
            let length = input.int_in_range(0..=12)?.min(input.len());
            Ok(String::from_utf8_lossy(input.bytes(length)?).into_owned())
        }
    }
}

/// The file as an input has it: changed here and there, or the input itself.
pub fn file(original: &Value, input: &mut Unstructured) -> arbitrary::Result<Vec<u8>> {
    if input.ratio(1, 8)? {
        let length = input.len();
        return Ok(input.bytes(length)?.to_vec());
    }
    let mut value = original.clone();
    edit(&mut value, input)?;
    Ok(value.to_string().into_bytes())
}

//! Bad input through the C ABI: a clear error each time, the host alive, and a session that still works.

mod common;

use common::snapshot::Copy;
use common::{Failure, Media, Model, Options, Prompt, Session, read_fixture};
use rmlx::ffi::status::*;

/// Loading this folder fails in this way; a session that is there meanwhile is not disturbed.
#[track_caller]
fn load_fails(copy: &Copy, status: i32, parts: &[&str]) {
    let bystander = Model::fixture("unified-bf16-mlx");
    let session = Session::new(&bystander);
    failure(Model::load(copy.path())).expect(status, parts);
    session.check_usable();
}

#[track_caller]
fn failure<T>(outcome: Result<T, Failure>) -> Failure {
    outcome.err().expect("a failure")
}

const DENSE: &str = "unified-bf16-mlx";
const SHARDED: &str = "unified-bf16-hf";
const WEIGHTS: &str = "model.safetensors";

#[test]
fn folders_that_are_none() {
    let copy = Copy::of(DENSE);
    failure(Model::load(&copy.file("nowhere"))).expect(RMLX_ERROR_NOT_FOUND, &["nowhere"]);
    failure(Model::load(&copy.file("config.json"))).expect(RMLX_ERROR_NOT_FOUND, &["config.json"]);
    failure(Model::inspect(&copy.file("nowhere"))).expect(RMLX_ERROR_NOT_FOUND, &["nowhere"]);
    copy.remove("config.json");
    load_fails(&copy, RMLX_ERROR_NOT_FOUND, &["config.json"]);
}

#[test]
fn missing_files() {
    load_fails(Copy::of(DENSE).remove("tokenizer.json"), RMLX_ERROR_INVALID_SNAPSHOT, &["tokenizer.json"]);
    let copy = Copy::of(DENSE);
    copy.remove(WEIGHTS);
    let error = failure(Model::load(copy.path()));
    assert!([RMLX_ERROR_NOT_FOUND, RMLX_ERROR_INVALID_SNAPSHOT].contains(&error.status), "{error}");
    assert!(error.message.contains("safetensors"), "{error}");
}

#[test]
fn a_missing_shard() {
    let copy = Copy::of(SHARDED);
    copy.remove("model-00002-of-00003.safetensors");
    load_fails(&copy, RMLX_ERROR_INVALID_SNAPSHOT, &["is missing", "model-00001-of-00003.safetensors"]);
}

#[test]
fn truncated_shards() {
    for size in [0, 4, 300, 500_000] {
        let copy = Copy::of(SHARDED);
        copy.truncate("model-00002-of-00003.safetensors", size);
        load_fails(&copy, RMLX_ERROR_INVALID_SNAPSHOT, &["model-00002-of-00003.safetensors"]);
    }
}

#[test]
fn a_shard_whose_header_lies() {
    let copy = Copy::of(DENSE);
    copy.write(WEIGHTS, [&u64::MAX.to_le_bytes()[..], b"{}"].concat());
    load_fails(&copy, RMLX_ERROR_INVALID_SNAPSHOT, &[WEIGHTS]);
    let copy = Copy::of(DENSE);
    copy.change_tensors(WEIGHTS, |header| {
        let tensor =
            header.as_object_mut().expect("tensors").iter_mut().find(|(name, _)| *name != "__metadata__");
        tensor.expect("a tensor").1["data_offsets"] = serde_json::json!([0, u64::MAX]);
    });
    load_fails(&copy, RMLX_ERROR_INVALID_SNAPSHOT, &[WEIGHTS]);
}

/// The name of a tensor in the dense fixture, by its end.
const NORM: &str = "model.norm.weight";

#[test]
fn a_tensor_of_the_wrong_shape() {
    let copy = Copy::of(DENSE);
    copy.change_tensors(WEIGHTS, |header| {
        let tensors = header.as_object_mut().expect("tensors");
        let (_, norm) = tensors.iter_mut().find(|(name, _)| name.ends_with(NORM)).expect("a norm");
        norm["shape"] = serde_json::json!([2, 64]);
    });
    load_fails(&copy, RMLX_ERROR_INVALID_SNAPSHOT, &["norm.weight", "[2, 64]", "[128]"]);
}

#[test]
fn a_tensor_that_is_missing() {
    let copy = Copy::of(DENSE);
    copy.change_tensors(WEIGHTS, |header| {
        let tensors = header.as_object_mut().expect("tensors");
        let name = tensors.keys().find(|name| name.ends_with(NORM)).expect("a norm").clone();
        let norm = tensors.remove(&name).expect("a norm");
        tensors.insert("a_stranger".to_owned(), norm);
    });
    load_fails(&copy, RMLX_ERROR_INVALID_SNAPSHOT, &["norm.weight"]);
}

#[test]
fn architectures_that_are_not_known() {
    let copy = Copy::of(DENSE);
    copy.change_json("config.json", |config| config["model_type"] = "perceptron9000".into());
    load_fails(&copy, RMLX_ERROR_UNSUPPORTED, &["perceptron9000"]);
    failure(Model::inspect(copy.path())).expect(RMLX_ERROR_UNSUPPORTED, &["perceptron9000"]);
    copy.change_json("config.json", |config| {
        _ = config.as_object_mut().expect("config").remove("model_type")
    });
    load_fails(&copy, RMLX_ERROR_INVALID_SNAPSHOT, &["model_type"]);
}

#[test]
fn broken_json() {
    for file in [
        "config.json",
        "generation_config.json",
        "processor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ] {
        for content in ["", "{", "[1, 2", "nonsense", "{\"a\": 1,}"] {
            load_fails(Copy::of(DENSE).write(file, content), RMLX_ERROR_INVALID_SNAPSHOT, &[file]);
        }
    }
    load_fails(Copy::of(DENSE).write("config.json", "[]"), RMLX_ERROR_INVALID_SNAPSHOT, &["config.json"]);
}

/// A model of this template, with a session.
fn with_template(template: &str) -> Result<(Copy, Model), Failure> {
    let copy = Copy::of(DENSE);
    copy.write("chat_template.jinja", template);
    let model = Model::load(copy.path())?;
    Ok((copy, model))
}

#[test]
fn templates_that_do_not_end_or_refuse() {
    let looping = "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}";
    let recursive = "{% macro again(n) %}{{ again(n + 1) }}{% endmacro %}{{ again(0) }}";
    let greedy = "{{ 'x' * 999999999999 }}";
    let raising = "{{ raise_exception('no pictures today') }}";
    let cases: [(&str, &[&str]); 4] =
        [(looping, &["loop"]), (recursive, &[]), (greedy, &[]), (raising, &["no pictures today"])];
    for (template, parts) in cases {
        let (_copy, model) = with_template(template).unwrap_or_else(|e| panic!("{template}: {e}"));
        let session = Session::new(&model);
        let prompt = Prompt::of_user("Hello");
        failure(model.render(&prompt)).expect(RMLX_ERROR_INVALID_PROMPT, parts);
        failure(session.submit(&prompt, &Options::greedy(1))).expect(RMLX_ERROR_INVALID_PROMPT, parts);
        failure(model.count_tokens(&prompt)).expect(RMLX_ERROR_INVALID_PROMPT, parts);
        // Without the template, the session works.
        let mut raw = Prompt::new();
        raw.tokens(&[2, 300, 301]);
        assert_eq!(session.answer(&raw, &Options::greedy(2)).expect("an answer").tokens.len(), 2);
    }
}

#[test]
fn a_template_that_is_none() {
    let error = failure(with_template("{% for message in %}{{ message"));
    error.expect(RMLX_ERROR_INVALID_SNAPSHOT, &["template"]);
}

/// A PNG of this size that holds so many zero bytes of compressed rows.
fn png(width: u32, height: u32, rows: &[u8]) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = Vec::new();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    for (kind, data) in [(b"IHDR", &header[..]), (b"IDAT", rows), (b"IEND", &[])] {
        file.extend((data.len() as u32).to_be_bytes());
        let body = [&kind[..], data].concat();
        file.extend(&body);
        file.extend(crc32(&body).to_be_bytes());
    }
    file
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[test]
fn images_that_are_none() {
    let model = Model::fixture(DENSE);
    let session = Session::new(&model);
    let good = read_fixture("media/square.png");
    failure(Media::image(b"")).expect(RMLX_ERROR_INVALID_MEDIA, &[]);
    failure(Media::image(b"no picture at all")).expect(RMLX_ERROR_INVALID_MEDIA, &["PNG"]);
    failure(Media::image(&good[..good.len() / 2])).expect(RMLX_ERROR_INVALID_MEDIA, &[]);
    let mut corrupt = good.clone();
    corrupt[60] ^= 0xFF;
    failure(Media::image(&corrupt)).expect(RMLX_ERROR_INVALID_MEDIA, &[]);
    // A stream that stands for far more than it is: the sizes are checked before anything is unpacked.
    let tiny_stream = [0x78, 0x9C, 0x63, 0x00, 0x00, 0x00, 0x01, 0x00, 0x01];
    for (width, height) in [(100_000, 1), (1, 100_000), (60_000, 60_000), (u32::MAX, u32::MAX), (0, 5)] {
        let error = failure(Media::image(&png(width, height, &tiny_stream)));
        error.expect(RMLX_ERROR_INVALID_MEDIA, &[]);
    }
    failure(Media::image(&png(100_000, 1, &tiny_stream))).expect(RMLX_ERROR_INVALID_MEDIA, &["100000"]);
    // A picture so thin that no soft token fits, or so small that nothing can be seen, is an error or an answer.
    for (width, height) in [(1, 1), (1, 3000), (3000, 1)] {
        let gray = vec![127; (width * height * 3) as usize];
        let desc = rmlx::ffi::media::rmlx_pixels {
            struct_size: size_of::<rmlx::ffi::media::rmlx_pixels>(),
            data: gray.as_ptr().cast(),
            size: gray.len(),
            row_stride: 0,
            width,
            height,
            format: rmlx::ffi::media::RMLX_PIXELS_RGB8,
            reserved: 0,
        };
        let image = Media::pixels(&desc).expect("an image");
        let mut prompt = Prompt::of_user("What?");
        if let Err(error) = session.answer(prompt.media(&image), &Options::greedy(1)) {
            error.expect(RMLX_ERROR_INVALID_MEDIA, &[&width.to_string()]);
        }
        session.check_usable();
    }
}

#[test]
fn sounds_that_are_none() {
    let model = Model::fixture(DENSE);
    let session = Session::new(&model);
    failure(Media::samples(&[], 16_000)).expect(RMLX_ERROR_INVALID_MEDIA, &["no samples"]);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut samples = vec![0.1; 2000];
        samples[1234] = bad;
        failure(Media::samples(&samples, 16_000)).expect(RMLX_ERROR_INVALID_MEDIA, &["finite"]);
        failure(Media::samples(&samples, 44_100)).expect(RMLX_ERROR_INVALID_MEDIA, &["finite"]);
    }
    failure(Media::samples(&[0.0; 100], 0)).expect(RMLX_ERROR_INVALID_MEDIA, &["0"]);
    failure(Media::audio(b"")).expect(RMLX_ERROR_INVALID_MEDIA, &[]);
    let good = read_fixture("media/gap.wav");
    failure(Media::audio(&good[..good.len() / 2])).expect(RMLX_ERROR_INVALID_MEDIA, &[]);
    failure(Media::audio(&good[..44])).expect(RMLX_ERROR_INVALID_MEDIA, &[]);
    // One sample is a sound.
    let mut prompt = Prompt::of_user("What?");
    let click = Media::samples(&[0.5], 16_000).expect("a sound");
    session.answer(prompt.media(&click), &Options::greedy(1)).expect("an answer");
    session.check_usable();
}

#[test]
fn text_that_is_not_utf8() {
    let model = Model::fixture(DENSE);
    let session = Session::new(&model);
    let mut prompt = Prompt::of_user("Hello");
    let error = failure(prompt.bytes(b"caf\xE9"));
    assert_eq!(error.details["byte"], 3);
    error.expect(RMLX_ERROR_INVALID_ARGUMENT, &["`utf8`", "byte 3"]);
    // The prompt is as it was.
    session.answer(&prompt, &Options::greedy(1)).expect("an answer");
    assert_eq!(
        session.stats().prompt_tokens as usize,
        model.count_tokens(&Prompt::of_user("Hello")).expect("a count")
    );
}

#[test]
fn prompts_that_are_none() {
    let model = Model::fixture(DENSE);
    let session = Session::new(&model);
    let options = Options::greedy(1);
    failure(session.submit(&Prompt::new(), &options)).expect(RMLX_ERROR_INVALID_PROMPT, &["no messages"]);
    let mut empty = Prompt::new();
    empty.begin("user");
    failure(session.submit(&empty, &options)).expect(RMLX_ERROR_INVALID_PROMPT, &["no parts"]);
    let mut both = Prompt::of_user("Hello");
    both.tokens(&[1, 2]);
    failure(session.submit(&both, &options)).expect(RMLX_ERROR_INVALID_PROMPT, &["raw tokens and text"]);
    let mut beyond = Prompt::new();
    beyond.tokens(&[2, 768]);
    failure(session.submit(&beyond, &options)).expect(RMLX_ERROR_INVALID_ARGUMENT, &["768"]);
    session.check_usable();
}

#[test]
fn a_prompt_past_the_context() {
    let model = Model::fixture(DENSE);
    let session = Session::with_context(&model, Some(64));
    let long = Prompt::of_user(&"again and ".repeat(100));
    let error = failure(session.submit(&long, &Options::greedy(1)));
    assert_eq!(error.details["context_length"], 64);
    error.expect(RMLX_ERROR_CONTEXT_FULL, &["64"]);
    session.check_usable();
    let mut picture = Prompt::of_user(&"word ".repeat(10));
    picture.media(&Media::image(&read_fixture("media/square.png")).expect("an image"));
    failure(session.submit(&picture, &Options::greedy(1))).expect(RMLX_ERROR_CONTEXT_FULL, &["64"]);
    session.check_usable();
}

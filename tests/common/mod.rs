//! What the tests in Rust share: the C ABI as a C program uses it, wrapped so that a test reads well. Nothing here goes
//! past `rmlx::ffi`.
#![allow(dead_code)] // each test program uses its part

pub mod golden;
pub mod snapshot;

use std::ffi::{CStr, CString, c_char};
use std::fmt;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};

use rmlx::ffi::event::*;
use rmlx::ffi::generation_options::*;
use rmlx::ffi::load_options::*;
use rmlx::ffi::media::*;
use rmlx::ffi::model::*;
use rmlx::ffi::probe::rmlx_probe;
use rmlx::ffi::prompt::*;
use rmlx::ffi::session::*;
use rmlx::ffi::session_options::*;
use rmlx::ffi::stats::*;
use rmlx::ffi::status::*;
use rmlx::ffi::string::rmlx_string_release;
use serde_json::Value;

/// `tests/fixtures`, or where `RMLX_FIXTURES` says.
pub fn fixtures() -> PathBuf {
    match std::env::var_os("RMLX_FIXTURES") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures"),
    }
}

pub fn read_fixture(name: &str) -> Vec<u8> {
    std::fs::read(fixtures().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

pub fn json_fixture(name: &str) -> Value {
    serde_json::from_slice(&read_fixture(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// What a C program sees of a failed call.
#[derive(Debug)]
pub struct Failure {
    pub status: rmlx_status,
    pub message: String,
    pub details: Value,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, name(self.status))
    }
}

impl Failure {
    /// The failure must be this one, and its message must name what matters.
    #[track_caller]
    pub fn expect(self, status: rmlx_status, parts: &[&str]) {
        assert_eq!(name(self.status), name(status), "{self}");
        for part in parts {
            assert!(self.message.contains(part), "\"{part}\" is not in: {self}");
        }
        assert!(!self.message.ends_with('.') && self.message.len() < 600, "{self}");
    }
}

pub type Outcome<T> = Result<T, Failure>;

fn name(status: rmlx_status) -> String {
    owned(rmlx_status_name(status))
}

/// Copies a text that belongs to an object.
fn owned(text: *const c_char) -> String {
    // SAFETY: the library's texts are NUL-terminated and live as long as the object that the caller still holds.
    unsafe { CStr::from_ptr(text) }.to_str().expect("the library's texts are UTF-8").to_owned()
}

/// Takes a text that was handed over.
fn taken(text: *mut c_char) -> String {
    let copy = owned(text);
    // SAFETY: the text was handed over, and this is its only release.
    unsafe { rmlx_string_release(text) };
    copy
}

type ErrorOut<'a> = Option<&'a mut MaybeUninit<*mut rmlx_error>>;

/// Runs a call; its error object becomes a [`Failure`].
pub fn check(call: impl FnOnce(ErrorOut<'_>) -> rmlx_status) -> Outcome<()> {
    let mut error = MaybeUninit::new(ptr::null_mut::<rmlx_error>());
    let status = call(Some(&mut error));
    // SAFETY: initialised above.
    let error = NonNull::new(unsafe { error.assume_init() });
    // SAFETY: an error that was written is for the caller to release, which the box does by rmlx_error_release.
    let error = error.map(|error| unsafe { Box::from_raw(error.as_ptr()) });
    assert_eq!(status == RMLX_OK, error.is_none(), "an error object comes with failures and only with them");
    let Some(error) = error else { return Ok(()) };
    let failure = Failure {
        status,
        message: owned(rmlx_error_message(Some(&error))),
        details: serde_json::from_str(&owned(rmlx_error_details_json(Some(&error))))
            .expect("details are JSON"),
    };
    assert_eq!(rmlx_error_code(Some(&error)), status);
    rmlx_error_release(Some(error));
    Err(failure)
}

/// Runs a call with one output.
fn output<T>(call: impl FnOnce(Option<&mut MaybeUninit<T>>, ErrorOut<'_>) -> rmlx_status) -> Outcome<T> {
    let mut out = MaybeUninit::uninit();
    check(|error| call(Some(&mut out), error))?;
    // SAFETY: outputs are written by calls that succeed.
    Ok(unsafe { out.assume_init() })
}

/// Runs a call of the array protocol twice: for the number of items, then for the items.
fn items<T: Copy + Default>(
    mut call: impl FnMut(*mut T, usize, Option<&mut MaybeUninit<usize>>, ErrorOut<'_>) -> rmlx_status,
) -> Outcome<Vec<T>> {
    let count = output(|count, error| call(ptr::null_mut(), 0, count, error))?;
    let mut items = vec![T::default(); count];
    assert_eq!(output(|again, error| call(items.as_mut_ptr(), count, again, error))?, count);
    Ok(items)
}

/// A model, loaded by a path and given back at the end.
pub struct Model(NonNull<rmlx_model>);

// SAFETY: the header says that a model is thread-safe.
unsafe impl Send for Model {}
// SAFETY: as above.
unsafe impl Sync for Model {}

impl Model {
    pub fn load(folder: &Path) -> Outcome<Model> {
        Self::load_with(folder, None)
    }

    pub fn load_with(folder: &Path, options: Option<&rmlx_load_options>) -> Outcome<Model> {
        let folder = c_path(folder);
        // SAFETY: the path is NUL-terminated.
        let model = output(|out, error| unsafe { rmlx_model_load(folder.as_ptr(), options, out, error) })?;
        Ok(Model(NonNull::new(model).expect("a model")))
    }

    /// A model of the fixtures.
    pub fn fixture(name: &str) -> Model {
        Self::load(&fixtures().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub fn inspect(folder: &Path) -> Outcome<Value> {
        let folder = c_path(folder);
        // SAFETY: the path is NUL-terminated.
        let json = output(|out, error| unsafe { rmlx_model_inspect(folder.as_ptr(), out, error) })?;
        Ok(serde_json::from_str(&taken(json)).expect("JSON"))
    }

    fn get(&self) -> Option<&rmlx_model> {
        // SAFETY: the handle is released when this is dropped.
        Some(unsafe { self.0.as_ref() })
    }

    pub fn tokenize(&self, text: &str, parse_special: bool) -> Vec<u32> {
        items(|out, capacity, count, error| {
            let (utf8, len) = (text.as_ptr().cast(), text.len());
            // SAFETY: the text and the room are as large as their sizes say.
            unsafe { rmlx_model_tokenize(self.get(), utf8, len, parse_special, out, capacity, count, error) }
        })
        .expect("any text can be tokenized")
    }

    pub fn render(&self, prompt: &Prompt) -> Outcome<String> {
        let text =
            output(|out, error| rmlx_model_render_prompt(self.get(), Some(&prompt.0), out, None, error))?;
        Ok(taken(text))
    }

    pub fn count_tokens(&self, prompt: &Prompt) -> Outcome<usize> {
        output(|out, error| rmlx_model_count_tokens(self.get(), Some(&prompt.0), out, error))
    }

    pub fn probe(&self) -> Outcome<Value> {
        let json = output(|out, error| rmlx_probe(self.get(), out, error))?;
        Ok(serde_json::from_str(&taken(json)).expect("JSON"))
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: this is the reference that loading gave.
        unsafe { rmlx_model_release(Some(self.0)) };
    }
}

fn c_path(path: &Path) -> CString {
    CString::new(path.to_str().expect("a UTF-8 path")).expect("no NUL")
}

/// An image or a sound.
pub struct Media(NonNull<rmlx_media>);

impl Media {
    pub fn image(bytes: &[u8]) -> Outcome<Media> {
        // SAFETY: the bytes are as many as their length says.
        let image = output(|out, error| unsafe {
            rmlx_image_from_encoded(bytes.as_ptr().cast(), bytes.len(), out, error)
        });
        image.map(Self::of)
    }

    /// Raw pixels; those that `desc` points to live during the call.
    pub fn pixels(desc: &rmlx_pixels) -> Outcome<Media> {
        // SAFETY: the description is a whole one, and says how many bytes there are.
        output(|out, error| unsafe { rmlx_image_from_pixels(desc, out, error) }).map(Self::of)
    }

    pub fn audio(bytes: &[u8]) -> Outcome<Media> {
        // SAFETY: the bytes are as many as their length says.
        let audio = output(|out, error| unsafe {
            rmlx_audio_from_encoded(bytes.as_ptr().cast(), bytes.len(), out, error)
        });
        audio.map(Self::of)
    }

    /// Mono.
    pub fn samples(samples: &[f32], rate: u32) -> Outcome<Media> {
        let (data, frames) = (samples.as_ptr(), samples.len());
        // SAFETY: the samples are as many as their length says.
        let audio =
            output(|out, error| unsafe { rmlx_audio_from_pcm_f32(data, frames, 1, rate, out, error) });
        audio.map(Self::of)
    }

    pub fn with_budget(&self, soft_tokens: u32) -> Media {
        // SAFETY: the handle is released when this is dropped.
        let image = Some(unsafe { self.0.as_ref() });
        let image = output(|out, error| rmlx_image_with_soft_token_budget(image, soft_tokens, out, error));
        Self::of(image.expect("a budget"))
    }

    fn of(handle: *mut rmlx_media) -> Media {
        Media(NonNull::new(handle).expect("a medium"))
    }
}

impl Drop for Media {
    fn drop(&mut self) {
        // SAFETY: this is the reference that making it gave.
        unsafe { rmlx_media_release(Some(self.0)) };
    }
}

/// A conversation.
pub struct Prompt(Box<rmlx_prompt>);

impl Prompt {
    pub fn new() -> Prompt {
        Prompt(rmlx_prompt_new().expect("a prompt"))
    }

    /// One message of the user.
    pub fn of_user(text: &str) -> Prompt {
        let mut prompt = Prompt::new();
        prompt.begin("user").text(text);
        prompt
    }

    pub fn begin(&mut self, role: &str) -> &mut Self {
        let role = CString::new(role).expect("no NUL");
        // SAFETY: the role is NUL-terminated.
        check(|error| unsafe { rmlx_prompt_begin_message(Some(&mut self.0), role.as_ptr(), error) })
            .expect("a role");
        self
    }

    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes()).expect("a text");
        self
    }

    /// A text that need not be UTF-8.
    pub fn bytes(&mut self, bytes: &[u8]) -> Outcome<()> {
        let (data, len) = (bytes.as_ptr().cast(), bytes.len());
        // SAFETY: the bytes are as many as their length says.
        check(|error| unsafe { rmlx_prompt_add_text(Some(&mut self.0), data, len, error) })
    }

    pub fn media(&mut self, media: &Media) -> &mut Self {
        // SAFETY: the handle is released when `media` is dropped.
        let media = Some(unsafe { media.0.as_ref() });
        check(|error| rmlx_prompt_add_media(Some(&mut self.0), media, error)).expect("a medium");
        self
    }

    pub fn tools(&mut self, tools: &Value) -> &mut Self {
        let json = tools.to_string();
        let (data, len) = (json.as_ptr().cast(), json.len());
        // SAFETY: the text is as long as its length says.
        check(|error| unsafe { rmlx_prompt_set_tools_json(Some(&mut self.0), data, len, error) })
            .expect("tools");
        self
    }

    pub fn variables(&mut self, variables: &Value) -> &mut Self {
        let json = variables.to_string();
        let (data, len) = (json.as_ptr().cast(), json.len());
        // SAFETY: the text is as long as its length says.
        check(|error| unsafe { rmlx_prompt_set_template_vars_json(Some(&mut self.0), data, len, error) })
            .expect("variables");
        self
    }

    pub fn tokens(&mut self, ids: &[u32]) -> &mut Self {
        // SAFETY: the ids are as many as their length says.
        check(|error| unsafe { rmlx_prompt_set_tokens(Some(&mut self.0), ids.as_ptr(), ids.len(), error) })
            .expect("tokens");
        self
    }
}

/// Generation options: greedy, whatever ends a turn.
pub struct Options(Box<rmlx_generation_options>);

impl Options {
    pub fn greedy(max_tokens: usize) -> Options {
        let mut o = rmlx_generation_options_new().expect("options");
        check(|error| rmlx_generation_options_set_temperature(Some(&mut o), 0.0, error)).expect("greedy");
        check(|error| rmlx_generation_options_set_max_tokens(Some(&mut o), max_tokens, error))
            .expect("a number");
        check(|error| rmlx_generation_options_set_ignore_eos(Some(&mut o), true, error)).expect("a choice");
        Options(o)
    }
}

/// A whole answer.
#[derive(Debug, Default)]
pub struct Answer {
    pub tokens: Vec<u32>,
    pub text: String,
    /// The logits that the first token came from.
    pub logits: Vec<f32>,
    pub reason: rmlx_finish_reason,
}

/// A session, released at the end.
pub struct Session(NonNull<rmlx_session>);

// SAFETY: the header says that any thread may use a session.
unsafe impl Send for Session {}

impl Session {
    pub fn new(model: &Model) -> Session {
        Self::with_context(model, None)
    }

    pub fn with_context(model: &Model, positions: Option<usize>) -> Session {
        let mut options = rmlx_session_options_new().expect("options");
        if let Some(positions) = positions {
            check(|error| rmlx_session_options_set_context_length(Some(&mut options), positions, error))
                .expect("a length");
        }
        let session = output(|out, error| rmlx_session_new(model.get(), Some(&options), out, error));
        rmlx_session_options_release(Some(options));
        Session(NonNull::new(session.expect("a session")).expect("a session"))
    }

    pub fn submit(&self, prompt: &Prompt, options: &Options) -> Outcome<()> {
        // SAFETY: the session is released when this is dropped.
        check(|error| unsafe { rmlx_session_submit(Some(self.0), Some(&prompt.0), Some(&options.0), error) })
    }

    fn step(&self) -> Outcome<Box<rmlx_event>> {
        // SAFETY: the session is released when this is dropped.
        let event = output(|out, error| unsafe { rmlx_session_step(Some(self.0), out, error) })?;
        // SAFETY: an event is for the caller to release, which the box does by rmlx_event_release.
        Ok(unsafe { Box::from_raw(event) })
    }

    pub fn logits(&self) -> Outcome<Vec<f32>> {
        // SAFETY: the session lives, and the room is as large as its capacity says.
        items(|out, room, count, error| unsafe { rmlx_session_logits(Some(self.0), out, room, count, error) })
    }

    pub fn prompt_tokens(&self) -> Vec<u32> {
        // SAFETY: the session lives, and the room is as large as its capacity says.
        items(|out, room, count, error| unsafe {
            rmlx_session_prompt_tokens(Some(self.0), out, room, count, error)
        })
        .expect("tokens")
    }

    pub fn stats(&self) -> rmlx_stats {
        // SAFETY: all bytes zero are a value of this structure of numbers.
        let mut stats: rmlx_stats = unsafe { std::mem::zeroed() };
        stats.struct_size = size_of::<rmlx_stats>();
        // SAFETY: the session lives, and the structure is as large as it says.
        check(|error| unsafe { rmlx_session_stats(Some(self.0), &mut stats, error) }).expect("stats");
        stats
    }

    /// Submits, and steps to the one FINISH event.
    pub fn answer(&self, prompt: &Prompt, options: &Options) -> Outcome<Answer> {
        self.submit(prompt, options)?;
        let mut answer = Answer::default();
        loop {
            let event = self.step()?;
            answer.text += &owned(rmlx_event_text(Some(&event), None));
            let mut token = MaybeUninit::uninit();
            if rmlx_event_token(Some(&event), Some(&mut token)) {
                // SAFETY: written where the function says that there is a token.
                answer.tokens.push(unsafe { token.assume_init() });
                if answer.logits.is_empty() {
                    answer.logits = self.logits()?;
                }
            }
            answer.reason = rmlx_event_finish_reason(Some(&event));
            let wrong = rmlx_event_error(Some(&event)).map(|error| owned(rmlx_error_message(Some(error))));
            rmlx_event_release(Some(event));
            assert_eq!(wrong, None);
            if answer.reason != RMLX_FINISH_NONE {
                let nothing = self.step().err().expect("nothing follows a FINISH event");
                nothing.expect(RMLX_ERROR_INVALID_ARGUMENT, &["nothing to step"]);
                return Ok(answer);
            }
        }
    }

    /// A short answer, to see that the session works.
    #[track_caller]
    pub fn check_usable(&self) {
        let answer = self.answer(&Prompt::of_user("Are you there?"), &Options::greedy(2)).expect("an answer");
        assert_eq!((answer.tokens.len(), answer.reason), (2, RMLX_FINISH_MAX_TOKENS));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: this is its only release.
        rmlx_session_release(Some(unsafe { Box::from_raw(self.0.as_ptr()) }));
    }
}

//! Safe wrappers of the C ABI: an object each, released when dropped, and errors as values.

use std::ffi::{CStr, CString, c_char};
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

use rmlx::ffi::cancel::{rmlx_cancel_new, rmlx_cancel_release, rmlx_cancel_trigger};
use rmlx::ffi::load_options::{rmlx_load_options, rmlx_load_options_new, rmlx_load_options_release};
use rmlx::ffi::media::*;
use rmlx::ffi::media_options::*;
use rmlx::ffi::media_prepare::rmlx_media_prepare;
use rmlx::ffi::model::*;
use rmlx::ffi::probe::rmlx_probe;
use rmlx::ffi::prompt::*;
use rmlx::ffi::status::*;
use rmlx::ffi::string::rmlx_string_release;
use serde_json::Value;

/// What a failed call says.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    pub code: rmlx_status,
    pub message: String,
    pub details: Value,
}

pub type Outcome<T> = Result<T, Failure>;
pub type Out<'a, T> = Option<&'a mut MaybeUninit<T>>;
pub type ErrorOut<'a> = Out<'a, *mut rmlx_error>;

/// Runs a call with a place for its error, and takes that error.
#[track_caller]
pub fn check(call: impl FnOnce(ErrorOut<'_>) -> rmlx_status) -> Outcome<()> {
    let mut slot = MaybeUninit::new(ptr::null_mut());
    let status = call(Some(&mut slot));
    // SAFETY: the slot was NULL before the call, which may only have put an error there.
    let error = unsafe { slot.assume_init() };
    if status == RMLX_OK {
        assert!(error.is_null(), "a call that succeeded wrote an error");
        return Ok(());
    }
    assert!(!error.is_null(), "a call that failed with {status} wrote no error");
    // SAFETY: the error is the caller's until it releases it, here.
    let failure = failure(unsafe { error.as_ref() });
    rmlx_error_release(Some(unsafe { Box::from_raw(error) }));
    assert_eq!(failure.code, status, "status and error differ: {failure:?}");
    assert!(!failure.message.is_empty());
    Err(failure)
}

pub fn failure(error: Option<&rmlx_error>) -> Failure {
    Failure {
        code: rmlx_error_code(error),
        message: c_text(rmlx_error_message(error)),
        details: serde_json::from_str(&c_text(rmlx_error_details_json(error))).expect("details are JSON"),
    }
}

/// Runs a call that makes something; its output must stay unwritten when it fails.
#[track_caller]
pub fn make<T: Copy + PartialEq + std::fmt::Debug>(
    untouched: T,
    call: impl FnOnce(Out<'_, T>, ErrorOut<'_>) -> rmlx_status,
) -> Outcome<T> {
    let mut slot = MaybeUninit::new(untouched);
    let outcome = check(|error| call(Some(&mut slot), error));
    // SAFETY: initialized above, and written by the call at most.
    let made = unsafe { slot.assume_init() };
    if let Err(failure) = outcome {
        assert_eq!(made, untouched, "a call that failed wrote its output");
        return Err(failure);
    }
    Ok(made)
}

#[track_caller]
pub fn make_object<T>(
    call: impl FnOnce(Out<'_, *mut T>, ErrorOut<'_>) -> rmlx_status,
) -> Outcome<NonNull<T>> {
    make(ptr::null_mut(), call).map(|made| NonNull::new(made).expect("a call that succeeded made no object"))
}

/// A text that belongs to the library.
pub fn c_text(text: *const c_char) -> String {
    // SAFETY: the library's texts end with a NUL and live as long as their objects, which the callers hold.
    unsafe { CStr::from_ptr(text) }.to_str().expect("UTF-8").to_owned()
}

/// A text that the library handed over.
#[track_caller]
pub fn owned_text(call: impl FnOnce(Out<'_, *mut c_char>, ErrorOut<'_>) -> rmlx_status) -> Outcome<String> {
    let text = make(ptr::null_mut(), call)?;
    let copy = c_text(text);
    // SAFETY: the text came from the library, and is released once.
    unsafe { rmlx_string_release(text) };
    Ok(copy)
}

/// All of an array that a function gives by the array protocol: first its length, then its items.
#[track_caller]
pub fn array<T: Copy + Default>(
    mut call: impl FnMut(*mut T, usize, Out<'_, usize>, ErrorOut<'_>) -> rmlx_status,
) -> Outcome<Vec<T>> {
    let count = make(usize::MAX, |out, error| call(ptr::null_mut(), 0, out, error))?;
    let mut items = vec![T::default(); count];
    let written = make(usize::MAX, |out, error| call(items.as_mut_ptr(), count, out, error))?;
    assert_eq!(written, count);
    Ok(items)
}

pub struct LoadOptions(Option<Box<rmlx_load_options>>);

impl LoadOptions {
    pub fn new() -> Self {
        Self(rmlx_load_options_new())
    }

    pub fn raw(&self) -> Option<&rmlx_load_options> {
        self.0.as_deref()
    }

    #[track_caller]
    pub fn set(
        mut self,
        setter: impl FnOnce(Option<&mut rmlx_load_options>, ErrorOut<'_>) -> rmlx_status,
    ) -> Self {
        check(|error| setter(self.0.as_deref_mut(), error)).expect("a valid option");
        self
    }
}

impl Drop for LoadOptions {
    fn drop(&mut self) {
        rmlx_load_options_release(self.0.take());
    }
}

pub struct Model(NonNull<rmlx_model>);

// SAFETY: the header says that any thread may use a model.
unsafe impl Send for Model {}
// SAFETY: as above.
unsafe impl Sync for Model {}

impl Model {
    pub fn load(dir: impl AsRef<std::path::Path>) -> Outcome<Self> {
        Self::load_with(dir, &LoadOptions::new())
    }

    pub fn load_with(dir: impl AsRef<std::path::Path>, options: &LoadOptions) -> Outcome<Self> {
        let dir = CString::new(dir.as_ref().to_str().expect("UTF-8")).expect("no NUL");
        // SAFETY: `dir` ends with a NUL and lives through the call.
        make_object(|out, error| unsafe { rmlx_model_load(dir.as_ptr(), options.0.as_deref(), out, error) })
            .map(Self)
    }

    pub fn raw(&self) -> Option<&rmlx_model> {
        // SAFETY: this object holds a reference.
        Some(unsafe { self.0.as_ref() })
    }

    pub fn info(&self) -> Value {
        let json = owned_text(|out, error| rmlx_model_info_json(self.raw(), out, error)).expect("info");
        serde_json::from_str(&json).expect("JSON")
    }

    pub fn probe(&self) -> Value {
        let json = owned_text(|out, error| rmlx_probe(self.raw(), out, error)).expect("a probe");
        serde_json::from_str(&json).expect("JSON")
    }

    pub fn tokenize(&self, text: &str, parse_special: bool) -> Outcome<Vec<u32>> {
        let (utf8, len) = (text.as_ptr().cast(), text.len());
        // SAFETY: the text is as long as its length says, and `out` as its capacity.
        array(|out, capacity, count, error| unsafe {
            rmlx_model_tokenize(self.raw(), utf8, len, parse_special, out, capacity, count, error)
        })
    }

    pub fn detokenize(&self, ids: &[u32], skip_special: bool) -> Outcome<String> {
        // SAFETY: the ids are as many as their count says.
        owned_text(|out, error| unsafe {
            rmlx_model_detokenize(self.raw(), ids.as_ptr(), ids.len(), skip_special, out, None, error)
        })
    }

    pub fn render(&self, prompt: &Prompt) -> Outcome<String> {
        owned_text(|out, error| rmlx_model_render_prompt(self.raw(), prompt.raw(), None, out, None, error))
    }

    pub fn count_with(&self, prompt: &Prompt, options: &crate::answers::Options) -> Outcome<usize> {
        make(usize::MAX, |out, error| {
            rmlx_model_count_tokens(self.raw(), prompt.raw(), options.raw(), out, error)
        })
    }

    pub fn count(&self, prompt: &Prompt) -> Outcome<usize> {
        make(usize::MAX, |out, error| rmlx_model_count_tokens(self.raw(), prompt.raw(), None, out, error))
    }
}

impl Clone for Model {
    fn clone(&self) -> Self {
        // SAFETY: this object holds a reference.
        let same = unsafe { rmlx_model_retain(self.0.as_ptr()) };
        Self(NonNull::new(same).expect("the same model"))
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: this object gives its reference back.
        unsafe { rmlx_model_release(Some(self.0)) };
    }
}

pub struct Media(NonNull<rmlx_media>);

// SAFETY: the header says that any thread may use a medium.
unsafe impl Send for Media {}
// SAFETY: as above.
unsafe impl Sync for Media {}

impl Media {
    pub fn image(bytes: &[u8]) -> Outcome<Self> {
        // SAFETY: the bytes are as many as their length says.
        make_object(|out, error| unsafe {
            rmlx_image_from_encoded(bytes.as_ptr().cast(), bytes.len(), None, out, error)
        })
        .map(Self)
    }

    /// An image of gray pixels.
    pub fn gray(width: u32, height: u32, pixels: &[u8]) -> Outcome<Self> {
        let desc = rmlx_pixels {
            struct_size: size_of::<rmlx_pixels>(),
            data: pixels.as_ptr().cast(),
            size: pixels.len(),
            row_stride: 0,
            width,
            height,
            format: RMLX_PIXELS_GRAY8,
            reserved: 0,
        };
        // SAFETY: the description says how many pixels there are.
        make_object(|out, error| unsafe { rmlx_image_from_pixels(&desc, out, error) }).map(Self)
    }

    pub fn with_budget(&self, soft_tokens: u32) -> Outcome<Self> {
        make_object(|out, error| rmlx_image_with_soft_token_budget(self.raw(), soft_tokens, out, error))
            .map(Self)
    }

    pub fn with_pan_and_scan(&self, on: bool) -> Outcome<Self> {
        make_object(|out, error| rmlx_image_with_pan_and_scan(self.raw(), on, out, error)).map(Self)
    }

    pub fn with_pixel_range(&self, least: u32, most: u32) -> Outcome<Self> {
        make_object(|out, error| rmlx_image_with_pixel_range(self.raw(), least, most, out, error)).map(Self)
    }

    /// Seconds of a sound's file that could not be read.
    pub fn lost_seconds(&self) -> f64 {
        rmlx_audio_lost_seconds(self.raw())
    }

    pub fn sound(bytes: &[u8]) -> Outcome<Self> {
        // SAFETY: the bytes are as many as their length says.
        make_object(|out, error| unsafe {
            rmlx_audio_from_encoded(bytes.as_ptr().cast(), bytes.len(), None, out, error)
        })
        .map(Self)
    }

    pub fn pcm(samples: &[f32], rate: u32) -> Outcome<Self> {
        // SAFETY: the samples are as many as their length says.
        make_object(|out, error| unsafe {
            rmlx_audio_from_pcm_f32(samples.as_ptr(), samples.len(), 1, rate, out, error)
        })
        .map(Self)
    }

    pub fn with_split(&self) -> Outcome<Self> {
        make_object(|out, error| rmlx_audio_with_split(self.raw(), true, out, error)).map(Self)
    }

    pub fn video(frames: &[&Media], seconds: &[f64]) -> Outcome<Self> {
        assert_eq!(frames.len(), seconds.len());
        let frames: Vec<*const rmlx_media> = frames.iter().map(|m| m.0.as_ptr().cast_const()).collect();
        // SAFETY: the frames live, and both arrays are as long as the count says.
        make_object(|out, error| unsafe {
            rmlx_video_from_frames(frames.as_ptr(), seconds.as_ptr(), frames.len(), out, error)
        })
        .map(Self)
    }

    /// The same medium without what the model does not take of it.
    pub fn prepare(&self, model: &Model) -> Outcome<Self> {
        make_object(|out, error| rmlx_media_prepare(model.raw(), self.raw(), None, out, error)).map(Self)
    }

    /// [`Media::prepare`] under a cancel object that was triggered before.
    pub fn prepare_cancelled(&self, model: &Model) -> Outcome<Self> {
        let cancel = rmlx_cancel_new();
        let mut options = rmlx_media_options_new();
        // SAFETY: the cancel object is this function's until it gives it back below.
        let watched = unsafe { cancel.as_ref() };
        check(|error| rmlx_media_options_set_cancel(options.as_deref_mut(), watched, error))?;
        rmlx_cancel_trigger(watched);
        let made = make_object(|out, error| {
            rmlx_media_prepare(model.raw(), self.raw(), options.as_deref(), out, error)
        });
        rmlx_media_options_release(options);
        // SAFETY: as above.
        unsafe { rmlx_cancel_release(NonNull::new(cancel)) };
        made.map(Self)
    }

    pub fn bytes(&self) -> u64 {
        rmlx_media_bytes(self.raw())
    }

    pub fn raw(&self) -> Option<&rmlx_media> {
        // SAFETY: this object holds a reference.
        Some(unsafe { self.0.as_ref() })
    }
}

impl Drop for Media {
    fn drop(&mut self) {
        // SAFETY: this object gives its reference back.
        unsafe { rmlx_media_release(Some(self.0)) };
    }
}

pub struct Prompt(Option<Box<rmlx_prompt>>);

impl Prompt {
    pub fn new() -> Self {
        Self(rmlx_prompt_new())
    }

    pub fn from_json(conversation: &Value, media: &[&Media]) -> Outcome<Self> {
        Self::from_json_text(&conversation.to_string(), media)
    }

    pub fn from_json_text(text: &str, media: &[&Media]) -> Outcome<Self> {
        let media: Vec<*const rmlx_media> = media.iter().map(|m| m.0.as_ptr().cast_const()).collect();
        // SAFETY: the text is as long as its length says, the media live and are as many as their count says.
        let prompt = make_object(|out, error| unsafe {
            rmlx_prompt_from_json(text.as_ptr().cast(), text.len(), media.as_ptr(), media.len(), out, error)
        })?;
        // SAFETY: the prompt is ours.
        Ok(Self(Some(unsafe { Box::from_raw(prompt.as_ptr()) })))
    }

    pub fn copy(&self) -> Self {
        let copy = make_object(|out, error| rmlx_prompt_copy(self.0.as_deref(), out, error)).expect("a copy");
        // SAFETY: the prompt is ours.
        Self(Some(unsafe { Box::from_raw(copy.as_ptr()) }))
    }

    /// Begins a tool's message.
    #[track_caller]
    pub fn result(mut self, id: &str, name: &str) -> Self {
        let [id, name] = [id, name].map(|text| CString::new(text).expect("no NUL"));
        // SAFETY: both end with a NUL.
        check(|error| unsafe {
            rmlx_prompt_begin_tool_result(self.0.as_deref_mut(), id.as_ptr(), name.as_ptr(), error)
        })
        .expect("a result");
        self
    }

    #[track_caller]
    pub fn call(mut self, name: &str, arguments: &str) -> Self {
        let name = CString::new(name).expect("no NUL");
        let (json, len) = (arguments.as_ptr().cast(), arguments.len());
        // SAFETY: the name ends with a NUL, and the arguments are as long as their length says.
        check(|error| unsafe {
            rmlx_prompt_add_tool_call(self.0.as_deref_mut(), ptr::null(), name.as_ptr(), json, len, error)
        })
        .expect("a call");
        self
    }

    #[track_caller]
    pub fn json(&mut self, json: &str) -> Outcome<()> {
        // SAFETY: the text is as long as its length says.
        check(|error| unsafe {
            rmlx_prompt_add_json(self.0.as_deref_mut(), json.as_ptr().cast(), json.len(), error)
        })
    }

    pub fn raw_mut(&mut self) -> Option<&mut rmlx_prompt> {
        self.0.as_deref_mut()
    }

    pub fn user(text: &str) -> Self {
        Self::new().message("user").text(text)
    }

    #[track_caller]
    pub fn message(mut self, role: &str) -> Self {
        let role = CString::new(role).expect("no NUL");
        // SAFETY: the role ends with a NUL.
        check(|error| unsafe { rmlx_prompt_begin_message(self.0.as_deref_mut(), role.as_ptr(), error) })
            .expect("a role");
        self
    }

    #[track_caller]
    pub fn text(mut self, text: &str) -> Self {
        self.add_bytes(text.as_bytes()).expect("a text");
        self
    }

    #[track_caller]
    pub fn add_bytes(&mut self, text: &[u8]) -> Outcome<()> {
        // SAFETY: the text is as long as its length says.
        check(|error| unsafe {
            rmlx_prompt_add_text(self.0.as_deref_mut(), text.as_ptr().cast(), text.len(), error)
        })
    }

    #[track_caller]
    pub fn media(mut self, media: &Media) -> Self {
        check(|error| rmlx_prompt_add_media(self.0.as_deref_mut(), media.raw(), error)).expect("a medium");
        self
    }

    #[track_caller]
    pub fn tools(mut self, json: &str) -> Self {
        // SAFETY: the text is as long as its length says.
        check(|error| unsafe {
            rmlx_prompt_set_tools_json(self.0.as_deref_mut(), json.as_ptr().cast(), json.len(), error)
        })
        .expect("tools");
        self
    }

    #[track_caller]
    pub fn variables(mut self, json: &str) -> Self {
        // SAFETY: the text is as long as its length says.
        check(|error| unsafe {
            rmlx_prompt_set_template_vars_json(self.0.as_deref_mut(), json.as_ptr().cast(), json.len(), error)
        })
        .expect("variables");
        self
    }

    #[track_caller]
    pub fn tokens(mut self, ids: &[u32]) -> Self {
        // SAFETY: the ids are as many as their count says.
        check(|error| unsafe {
            rmlx_prompt_set_tokens(self.0.as_deref_mut(), ids.as_ptr(), ids.len(), error)
        })
        .expect("tokens");
        self
    }

    pub fn raw(&self) -> Option<&rmlx_prompt> {
        self.0.as_deref()
    }
}

impl Drop for Prompt {
    fn drop(&mut self) {
        rmlx_prompt_release(self.0.take());
    }
}

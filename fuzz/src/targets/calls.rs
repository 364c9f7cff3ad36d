//! Any calls of the C ABI in any order, from four threads, on objects that are there and on NULL.
//!
//! Models, sessions, media, flags and wakers go from thread to thread; what is built (prompts, options) stays on its own,
//! as the header asks. An object is given back once no thread is in a call with it.

use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use arbitrary::Unstructured;
use rmlx::ffi::cancel::*;
use rmlx::ffi::event::*;
use rmlx::ffi::generation_options::*;
use rmlx::ffi::load_options::*;
use rmlx::ffi::media::*;
use rmlx::ffi::memory::*;
use rmlx::ffi::model::*;
use rmlx::ffi::prompt::*;
use rmlx::ffi::respond::rmlx_respond_text;
use rmlx::ffi::session::*;
use rmlx::ffi::session_options::*;
use rmlx::ffi::session_saved::*;
use rmlx::ffi::stats::{rmlx_session_stats, rmlx_stats};
use rmlx::ffi::string::rmlx_string_release;
use rmlx::ffi::suspend::*;
use rmlx::ffi::waker::*;

use super::edits::{scalar, text};
use super::fixture;
use super::handles::*;
use super::model::FOLDER;

const THREADS: usize = 4;
/// Calls of a thread at most.
const CALLS: usize = 40;
/// Objects of a kind at most; a new one takes the place of another.
const OBJECTS: usize = 6;

/// Objects of one kind that all threads know.
struct Table<T>(Mutex<Vec<Arc<Owned<T>>>>);

impl<T> Table<T> {
    fn empty() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// One of them; now and then none.
    fn one(&self, input: &mut Unstructured) -> arbitrary::Result<Option<Arc<Owned<T>>>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() || input.ratio(1, 12)? {
            return Ok(None);
        }
        Ok(Some(Arc::clone(&all[input.choose_index(all.len())?])))
    }

    fn put(&self, made: Option<Owned<T>>, input: &mut Unstructured) -> arbitrary::Result<()> {
        let Some(made) = made.map(Arc::new) else { return Ok(()) };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = match all.len() < OBJECTS {
            true => {
                all.push(made);
                None
            }
            false => {
                let at = input.choose_index(all.len())?;
                Some(std::mem::replace(&mut all[at], made))
            }
        };
        drop(all);
        // Outside of the lock: this may be the last reference.
        drop(gone);
        Ok(())
    }

    fn take(&self, input: &mut Unstructured) -> arbitrary::Result<Option<Arc<Owned<T>>>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            return Ok(None);
        }
        let at = input.choose_index(all.len())?;
        Ok(Some(all.swap_remove(at)))
    }
}

struct Shared {
    models: Table<rmlx_model>,
    sessions: Table<rmlx_session>,
    media: Table<rmlx_media>,
    cancels: Table<rmlx_cancel>,
    wakers: Table<rmlx_waker>,
}

/// What a thread builds.
struct Own {
    prompt: Option<Box<rmlx_prompt>>,
    options: Option<Box<rmlx_generation_options>>,
    session_options: Option<Box<rmlx_session_options>>,
    load_options: Option<Box<rmlx_load_options>>,
    saved: Vec<u8>,
}

pub fn calls(data: &[u8]) {
    let shared = Shared {
        models: Table::empty(),
        sessions: Table::empty(),
        media: Table::empty(),
        cancels: Table::empty(),
        wakers: Table::empty(),
    };
    let part = data.len().div_ceil(THREADS).max(1);
    thread::scope(|scope| {
        for part in data.chunks(part) {
            let shared = &shared;
            scope.spawn(move || {
                let mut input = Unstructured::new(part);
                let mut own = Own {
                    prompt: None,
                    options: None,
                    session_options: None,
                    load_options: None,
                    saved: Vec::new(),
                };
                for _ in 0..CALLS {
                    if input.is_empty() || one(shared, &mut own, &mut input).is_err() {
                        break;
                    }
                }
                rmlx_prompt_release(own.prompt.take());
                rmlx_generation_options_release(own.options.take());
                rmlx_session_options_release(own.session_options.take());
                rmlx_load_options_release(own.load_options.take());
            });
        }
    });
    call(true, |error| rmlx_resume(error));
}

fn one(shared: &Shared, own: &mut Own, input: &mut Unstructured) -> arbitrary::Result<()> {
    let with_error = input.ratio(7, 8)?;
    match input.int_in_range(0..=19)? {
        0..=1 => model(shared, own, with_error, input),
        2..=4 => prompt(shared, own, with_error, input),
        5..=6 => options(own, with_error, input),
        7 => media(shared, with_error, input),
        8..=9 => others(shared, own, with_error, input),
        10..=11 => begin(shared, own, with_error, input),
        12 => keep(shared, own, with_error, input),
        _ => session(shared, own, with_error, input),
    }
}

/// Takes a text of the library and gives it back.
fn string(with_error: bool, make: impl FnOnce(Option<&mut MaybeUninit<*mut c_char>>, ErrorOut) -> i32) {
    let mut out = MaybeUninit::new(ptr::null_mut());
    call(with_error, |error| make(Some(&mut out), error));
    // SAFETY: NULL, or a text of the library that is given back once.
    unsafe { rmlx_string_release(out.assume_init()) };
}

fn model(
    shared: &Shared,
    own: &mut Own,
    with_error: bool,
    input: &mut Unstructured,
) -> arbitrary::Result<()> {
    let held = shared.models.one(input)?;
    let model = held.as_deref().map(Owned::get);
    let folder = if input.ratio(15, 16)? { fixture(FOLDER) } else { fixture("nothing") };
    let dir = CString::new(folder.to_str().expect("a path")).expect("no NUL");
    match input.int_in_range(0..=9)? {
        0..=2 => {
            let options = own.load_options.as_deref();
            // SAFETY: a NUL-terminated path.
            let load = |out: Option<&mut _>, error: ErrorOut| unsafe {
                rmlx_model_load(dir.as_ptr(), options, out, error)
            };
            shared.models.put(make(with_error, release_model, load), input)?;
        }
        3 => drop(shared.models.take(input)?),
        4 => {
            // SAFETY: the model lives, or is NULL; the reference is given back.
            let again = unsafe { rmlx_model_retain(model.map_or(ptr::null(), |model| model)) };
            unsafe { rmlx_model_release(NonNull::new(again)) };
        }
        5 => string(with_error, |out, error| rmlx_model_info_json(model, out, error)),
        // SAFETY: a NUL-terminated path.
        6 => string(with_error, |out, error| unsafe { rmlx_model_inspect(dir.as_ptr(), out, error) }),
        7 => {
            let typed = text(input)?;
            let (mut ids, mut count) = ([0_u32; 8], MaybeUninit::new(0));
            let capacity = input.int_in_range(0..=ids.len())?;
            // SAFETY: there is room for `capacity` ids.
            call(with_error, |error| unsafe {
                let (text, room) = (typed.as_ptr().cast(), ids.as_mut_ptr());
                rmlx_model_tokenize(model, text, typed.len(), true, room, capacity, Some(&mut count), error)
            });
        }
        8 => {
            let ids: Vec<u32> = (0..input.int_in_range(0..=6)?).map(|i| i * 97).collect();
            // SAFETY: all ids may be read.
            string(with_error, |out, error| unsafe {
                rmlx_model_detokenize(model, ids.as_ptr(), ids.len(), true, out, None, error)
            });
        }
        _ => {
            let (prompt, options) = (own.prompt.as_deref(), own.options.as_deref());
            string(with_error, |out, error| {
                rmlx_model_render_prompt(model, prompt, options, out, None, error)
            });
            let mut count = MaybeUninit::new(0);
            call(with_error, |error| {
                rmlx_model_count_tokens(model, prompt, options, Some(&mut count), error)
            });
        }
    }
    Ok(())
}

fn prompt(
    shared: &Shared,
    own: &mut Own,
    with_error: bool,
    input: &mut Unstructured,
) -> arbitrary::Result<()> {
    if own.prompt.is_none() && input.ratio(15, 16)? {
        own.prompt = rmlx_prompt_new();
    }
    let prompt = own.prompt.as_deref_mut();
    let typed = text(input)?;
    let (bytes, length) = (typed.as_ptr().cast::<c_char>(), typed.len());
    match input.int_in_range(0..=9)? {
        0..=2 => {
            let roles = [c"user", c"user", c"assistant", c"system", c"tool"];
            let role = roles[input.choose_index(roles.len())?];
            // SAFETY: a NUL-terminated text, and one of that length.
            call(with_error, |error| unsafe { rmlx_prompt_begin_message(prompt, role.as_ptr(), error) });
            call(with_error, |error| unsafe {
                rmlx_prompt_add_text(own.prompt.as_deref_mut(), bytes, length, error)
            });
        }
        3 => {
            let held = shared.media.one(input)?;
            call(with_error, |error| rmlx_prompt_add_media(prompt, held.as_deref().map(Owned::get), error));
        }
        4 => {
            let value = scalar(input)?.to_string();
            // SAFETY: a text of that length.
            call(with_error, |error| unsafe {
                rmlx_prompt_set_tools_json(prompt, value.as_ptr().cast(), value.len(), error)
            });
        }
        5 => {
            let (id, name) = (c_text(input)?, c_text(input)?);
            let (id, name) = (id.as_deref(), name.as_deref());
            let of = |text: Option<&std::ffi::CStr>| text.map_or(ptr::null(), |text| text.as_ptr());
            // SAFETY: NULL or NUL-terminated texts, and one of that length.
            call(with_error, |error| unsafe {
                rmlx_prompt_add_tool_call(prompt, of(id), of(name), bytes, length, error)
            });
        }
        6 => {
            let ids: Vec<u32> = (0..input.int_in_range(0..=40)?).map(|i| 300 + i % 7).collect();
            // SAFETY: all ids may be read.
            call(with_error, |error| unsafe {
                rmlx_prompt_set_tokens(prompt, ids.as_ptr(), ids.len(), error)
            });
        }
        7 => {
            let held = shared.sessions.one(input)?;
            // SAFETY: the session lives, or is NULL.
            call(with_error, |error| unsafe {
                rmlx_prompt_add_answer(prompt, held.as_deref().map(Owned::pointer), error)
            });
        }
        8 => {
            call(with_error, |error| rmlx_prompt_set_continue_final_message(prompt, length % 2 == 0, error));
        }
        _ => rmlx_prompt_release(own.prompt.take()),
    }
    Ok(())
}

fn options(own: &mut Own, with_error: bool, input: &mut Unstructured) -> arbitrary::Result<()> {
    if own.options.is_none() && input.ratio(15, 16)? {
        own.options = rmlx_generation_options_new();
        let most = input.int_in_range(1..=12)?;
        let options = own.options.as_deref_mut();
        call(with_error, |error| rmlx_generation_options_set_max_tokens(options, most, error));
    }
    let options = own.options.as_deref_mut();
    let (number, whole): (f32, u32) = (input.arbitrary()?, input.int_in_range(0..=70_000)?);
    let typed = text(input)?;
    let (bytes, length) = (typed.as_ptr().cast::<c_char>(), typed.len());
    type Set = extern "C" fn(Option<&mut rmlx_generation_options>, f32, ErrorOut) -> i32;
    const NUMBERS: [Set; 6] = [
        rmlx_generation_options_set_temperature,
        rmlx_generation_options_set_top_p,
        rmlx_generation_options_set_min_p,
        rmlx_generation_options_set_repetition_penalty,
        rmlx_generation_options_set_presence_penalty,
        rmlx_generation_options_set_frequency_penalty,
    ];
    let set = NUMBERS[input.choose_index(NUMBERS.len())?];
    call(with_error, |error| match whole % 12 {
        0..=2 => set(options, number, error),
        3 => rmlx_generation_options_set_top_k(options, whole, error),
        4 => rmlx_generation_options_set_top_logprobs(options, length, error),
        5 => rmlx_generation_options_add_logit_bias(options, whole, number, error),
        6 => rmlx_generation_options_add_stop_token(options, whole, error),
        7 => rmlx_generation_options_set_dry(options, number, 1.75, length, 0, error),
        8 => rmlx_generation_options_set_exact_history(options, whole % 2 == 0, error),
        9 => rmlx_generation_options_set_progress_events(options, whole % 2 == 0, error),
        // SAFETY: a text of that length.
        10 => unsafe { rmlx_generation_options_add_stop(options, bytes, length, error) },
        _ => unsafe {
            rmlx_generation_options_set_constraint(options, (whole / 12 % 6) as i32, bytes, length, error)
        },
    });
    if input.ratio(1, 6)? {
        rmlx_generation_options_release(own.options.take());
    }
    Ok(())
}

fn release_media(media: NonNull<rmlx_media>) {
    // SAFETY: a reference of whoever calls.
    unsafe { rmlx_media_release(Some(media)) };
}

fn media(shared: &Shared, with_error: bool, input: &mut Unstructured) -> arbitrary::Result<()> {
    let held = shared.media.one(input)?;
    let one = held.as_deref().map(Owned::get);
    let (width, height) = (input.int_in_range(0..=24)?, input.int_in_range(0..=24)?);
    let bytes: Vec<u8> = (0..24 * 24).map(|i| (i * width % 251) as u8).collect();
    let made = match input.int_in_range(0..=4)? {
        0..=1 => make(with_error, release_media, |out, error| {
            let (struct_size, size) = (size_of::<rmlx_pixels>(), bytes.len());
            let (data, format) = (bytes.as_ptr().cast(), RMLX_PIXELS_GRAY8);
            let desc =
                rmlx_pixels { struct_size, data, size, row_stride: 0, width, height, format, reserved: 0 };
            // SAFETY: all of `bytes` may be read.
            unsafe { rmlx_image_from_pixels(&desc, out, error) }
        }),
        2 => make(with_error, release_media, |out, error| {
            let samples = [0.25_f32; 64];
            // SAFETY: all samples may be read.
            unsafe {
                rmlx_audio_from_pcm_f32(
                    samples.as_ptr(),
                    64 / width.max(1) as usize,
                    width,
                    16_000,
                    out,
                    error,
                )
            }
        }),
        3 => make(with_error, release_media, |out, error| {
            rmlx_image_with_soft_token_budget(one, width * height, out, error)
        }),
        // SAFETY: all of `bytes` may be read.
        _ => make(with_error, release_media, |out, error| unsafe {
            rmlx_image_from_encoded(bytes.as_ptr().cast(), bytes.len(), None, out, error)
        }),
    };
    let _ = (rmlx_media_kind(one), rmlx_media_bytes(one), rmlx_image_width(one), rmlx_audio_seconds(one));
    shared.media.put(made, input)?;
    if input.ratio(1, 8)? {
        drop(shared.media.take(input)?);
    }
    Ok(())
}

fn others(
    shared: &Shared,
    own: &mut Own,
    with_error: bool,
    input: &mut Unstructured,
) -> arbitrary::Result<()> {
    let number = input.int_in_range(0..=4096_usize)?;
    match input.int_in_range(0..=9)? {
        0 => {
            // SAFETY: the library's own size and layout.
            let mut usage: rmlx_memory_usage = unsafe { std::mem::zeroed() };
            usage.struct_size = if number % 8 == 0 { number } else { size_of::<rmlx_memory_usage>() };
            if usage.struct_size <= size_of::<rmlx_memory_usage>() {
                call(with_error, |error| unsafe { rmlx_memory_stats(&mut usage, error) });
            }
        }
        1 => {
            call(with_error, |error| rmlx_memory_trim(error));
        }
        2 => {
            // Nothing else goes on while the library is suspended, so it is not left so.
            call(with_error, |error| rmlx_suspend(number as u64 % 20, None, error));
            call(with_error, |error| rmlx_resume(error));
        }
        3 => {
            own.session_options = own.session_options.take().or_else(|| rmlx_session_options_new());
            let options = own.session_options.as_deref_mut();
            call(with_error, |error| match number % 4 {
                0 => rmlx_session_options_set_context_length(options, number, error),
                1 => rmlx_session_options_set_prefill_chunk(options, number, error),
                2 => rmlx_session_options_set_checkpoints(options, number % 9, error),
                _ => rmlx_session_options_set_keep_turns(options, number % 5, error),
            });
        }
        4 => {
            own.load_options = own.load_options.take().or_else(|| rmlx_load_options_new());
            let options = own.load_options.as_deref_mut();
            let held = shared.cancels.one(input)?;
            call(with_error, |error| match number % 4 {
                0 => rmlx_load_options_set_context_length(options, number, error),
                1 => rmlx_load_options_set_memory_limit(options, (number as u64) << 10, error),
                2 => rmlx_load_options_set_device(options, (number / 4 % 4) as i32, error),
                _ => rmlx_load_options_set_cancel(options, held.as_deref().map(Owned::get), error),
            });
            if number % 3 == 0 {
                rmlx_load_options_release(own.load_options.take());
            }
        }
        // SAFETY: given back once.
        5 => {
            let release = |cancel| unsafe { rmlx_cancel_release(Some(cancel)) };
            let made = NonNull::new(rmlx_cancel_new()).map(|cancel| Owned::new(cancel, release));
            shared.cancels.put(made, input)?;
        }
        6 => rmlx_cancel_trigger(shared.cancels.one(input)?.as_deref().map(Owned::get)),
        7 => {
            // SAFETY: given back once.
            let release = |waker| unsafe { rmlx_waker_release(Some(waker)) };
            shared.wakers.put(make(with_error, release, rmlx_waker_new_of), input)?;
        }
        8 => {
            let held = shared.wakers.one(input)?;
            let (mut tags, mut count) = ([0; 4], MaybeUninit::new(0));
            // SAFETY: there is room for `number % 5` tags.
            call(with_error, |error| unsafe {
                let waker = held.as_deref().map(Owned::get);
                rmlx_waker_take(waker, tags.as_mut_ptr(), number % 5, Some(&mut count), error)
            });
        }
        _ => {
            let (held, typed) = (shared.models.one(input)?, text(input)?);
            let model = held.as_deref().map(Owned::get);
            // Without options an answer may be long.
            let Some(options) = own.options.as_deref() else { return Ok(()) };
            // SAFETY: a text of that length.
            string(with_error, |out, error| unsafe {
                rmlx_respond_text(model, typed.as_ptr().cast(), typed.len(), Some(options), out, None, error)
            });
        }
    }
    Ok(())
}

/// With the lifetimes that [`make`] asks for.
fn rmlx_waker_new_of(out: Option<&mut MaybeUninit<*mut rmlx_waker>>, error: ErrorOut) -> i32 {
    rmlx_waker_new(out, error)
}

/// A session, and an answer of it.
fn begin(
    shared: &Shared,
    own: &mut Own,
    with_error: bool,
    input: &mut Unstructured,
) -> arbitrary::Result<()> {
    let held = shared.models.one(input)?;
    let (model, options) = (held.as_deref().map(Owned::get), own.session_options.as_deref());
    let made = make(with_error, release_session, |out, error| rmlx_session_new(model, options, out, error));
    if let (Some(session), Some(prompt)) = (&made, own.prompt.as_deref()) {
        // SAFETY: the session lives.
        call(with_error, |error| unsafe {
            rmlx_session_submit(Some(session.pointer()), Some(prompt), own.options.as_deref(), error)
        });
    }
    shared.sessions.put(made, input)
}

/// Saves a session, or makes one of what was saved.
fn keep(shared: &Shared, own: &mut Own, with_error: bool, input: &mut Unstructured) -> arbitrary::Result<()> {
    if input.ratio(1, 2)? {
        let held = shared.sessions.one(input)?;
        let session = held.as_deref().map(Owned::pointer);
        let mut count = MaybeUninit::new(0);
        own.saved.resize(input.int_in_range(0..=1 << 20)?, 0);
        // SAFETY: there is room for as many bytes as is said, and the session lives.
        let status = call(with_error, |error| unsafe {
            let room = own.saved.as_mut_ptr();
            rmlx_session_save_to_buffer(session, room, own.saved.len(), Some(&mut count), error)
        });
        // SAFETY: it had a value before.
        own.saved.truncate(if status == 0 { unsafe { count.assume_init() } } else { 0 });
        return Ok(());
    }
    let held = shared.models.one(input)?;
    let model = held.as_deref().map(Owned::get);
    // SAFETY: all of the bytes may be read.
    let made = make(with_error, release_session, |out, error| unsafe {
        rmlx_session_load_from_buffer(model, None, own.saved.as_ptr().cast(), own.saved.len(), out, error)
    });
    shared.sessions.put(made, input)
}

fn session(
    shared: &Shared,
    own: &mut Own,
    with_error: bool,
    input: &mut Unstructured,
) -> arbitrary::Result<()> {
    let held = shared.sessions.one(input)?;
    let session = held.as_deref().map(Owned::pointer);
    let number = input.int_in_range(0..=600_usize)?;
    let (prompt, options) = (own.prompt.as_deref(), own.options.as_deref());
    // SAFETY, here and below: the session lives until `held` is dropped, or is NULL; buffers have the room that is said.
    match input.int_in_range(0..=15)? {
        0..=2 => {
            call(with_error, |error| unsafe { rmlx_session_submit(session, prompt, options, error) });
        }
        3 => {
            call(with_error, |error| unsafe { rmlx_session_prefill(session, prompt, options, error) });
        }
        4 => {
            let made = make(with_error, release_session, |out, error| unsafe {
                rmlx_session_fork(session, out, error)
            });
            shared.sessions.put(made, input)?;
        }
        5 => {
            let mut kept = MaybeUninit::new(0);
            call(with_error, |error| unsafe {
                rmlx_session_truncate(session, number, Some(&mut kept), error)
            });
        }
        6 => {
            call(with_error, |error| unsafe { rmlx_session_reset(session, error) });
        }
        7 => unsafe { rmlx_session_cancel(session) },
        8 => {
            let (mut row, mut count) = ([0.0_f32; 600], MaybeUninit::new(0));
            call(with_error, |error| unsafe {
                rmlx_session_logits(session, row.as_mut_ptr(), number, Some(&mut count), error)
            });
        }
        9 => {
            let (mut ids, mut count) = ([0_u32; 600], MaybeUninit::new(0));
            call(with_error, |error| unsafe {
                rmlx_session_prompt_tokens(session, ids.as_mut_ptr(), number, Some(&mut count), error)
            });
        }
        10 => {
            // SAFETY: numbers only.
            let mut stats: rmlx_stats = unsafe { std::mem::zeroed() };
            stats.struct_size = size_of::<rmlx_stats>();
            call(with_error, |error| unsafe { rmlx_session_stats(session, &mut stats, error) });
        }
        11 => {
            let held = shared.wakers.one(input)?;
            let waker = held.as_deref().map(Owned::get);
            call(with_error, |error| unsafe { rmlx_session_set_waker(session, waker, number as u64, error) });
        }
        12 => drop(shared.sessions.take(input)?),
        _ => {
            // Another thread may take the events or reset the session, so nothing waits for ever.
            let step = |out: Option<&mut _>, error: ErrorOut| unsafe {
                rmlx_session_step_timeout(session, number as u64 % 50, out, error)
            };
            if let Some(event) = make(with_error, release_event, step) {
                look_at(&event);
                let event = Some(event.get());
                let _ = (
                    rmlx_event_finish_reason(event),
                    rmlx_event_tool_call_name(event),
                    rmlx_event_error(event),
                );
                let _ = rmlx_event_top_logprob(event, number % 7, None, None);
            }
        }
    }
    Ok(())
}

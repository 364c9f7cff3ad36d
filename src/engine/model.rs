//! A loaded model, shared by its sessions.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use mlx_rs::Dtype;
use once_cell::sync::OnceCell;
use serde_json::{Value, json};

use super::budget::Budget;
use super::encoded::{self, EncodedMedia, Known};
use super::group::follower::Follower;
use super::group::leader::Leader;
use super::group::setup::Setup;
use super::group::{agree, form};
use super::limits;
use super::memory::Memory;
use super::options::{CancelToken, DeviceChoice, GenerationOptions, LoadOptions};
use super::worker::{self, Kind, LoadedModel, Worker};
use crate::dialect::Marks;
use crate::error::{Code, Error, Result};
use crate::log;
use crate::media::{Check, Media};
use crate::models::{self, Architecture, LanguageModel, LoadContext, architecture};
use crate::nn::group::bond::Bond;
use crate::nn::group::{Group, Ranks};
use crate::nn::mlx::group::Handle;
use crate::nn::self_test::{Mlx, Operations};
use crate::nn::split::Shard;
use crate::nn::{self, Device, default_device, mlx};
use crate::prompt::{Formatter, MediaLayout, Placed, Prompt, Setting};
use crate::sampling::{Compiler, GenerationDefaults, TokenForm, Vocabulary};
use crate::snapshot::{Snapshot, Storages};
use crate::system::{self, Platform, room, threads};

/// Threads with their stacks, buffers of the BLAS, code that is mapped when it is first used.
const START: u64 = 96 << 20;
/// Threads that MLX starts with the first tensor that it reads: its readers and, beside a GPU, the CPU's stream.
const READERS: usize = 5;
/// A tokenizer takes so many times the bytes of its file while it is read.
const TOKENIZER_FACTOR: u64 = 12;

/// A handle to a loaded model; clones share it, and the last one gives its memory back.
#[derive(Clone)]
pub struct Model(Arc<Shared>);

struct Shared {
    id: u64,
    architecture: Arc<dyn Architecture>,
    formatter: Arc<Formatter>,
    marks: Marks,
    end_tokens: BTreeSet<u32>,
    defaults: GenerationDefaults,
    info: Value,
    memory: Memory,
    encoded: Known,
    /// Of the snapshot; see [`Snapshot::fingerprint`].
    fingerprint: [u8; 32],
    /// Made with the first grammar.
    compiler: OnceCell<Compiler>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        let id = self.id;
        worker::tell(move |worker| {
            worker.remove_model(id);
            // Buffers of a whole model are not kept for the next one.
            if let Err(e) = mlx_rs::memory::clear_cache() {
                log::warning(&format!("cannot clear MLX's cache: {e}"));
            }
        });
    }
}

impl Model {
    /// Reads a snapshot folder. Blocks; the progress callback runs on the calling thread.
    pub fn load(dir: &Path, options: LoadOptions) -> Result<Self> {
        let cancel = options.cancel.clone().unwrap_or_default();
        cancel.check()?;
        require_platform()?;
        let checks = !options.ignore_system_memory;
        if checks {
            room::require(START + text_bytes(dir), "the library and the tokenizer")?;
        }
        let setup = Setup::of_load(&options)?;
        setup.iter().for_each(Setup::prepare);
        if let Some(rank) = setup.as_ref().map(|setup| setup.shard.rank()).filter(|rank| *rank > 0) {
            let message =
                format!("rank {rank} of a group follows rank 0, which alone loads the model as such");
            return Err(Error::invalid_argument(message).with("rank", rank));
        }
        let shard = setup.as_ref().map_or(Shard::WHOLE, |setup| setup.shard);
        let planned = Planned::open(dir, &options, shard, &cancel)?;
        let most = planned.architecture.facts().context_length;
        let memory = Memory::fit(Arc::clone(&planned.budget), most, &options)?;
        let bond = setup.as_ref().map(|setup| form::join(setup, &cancel)).transpose()?;
        let formatter = {
            let (dir, given) = (dir.to_owned(), options.chat_template.clone());
            let load = move || Formatter::load(&dir, given.as_deref());
            thread::Builder::new().name("rmlx-tokenizer".into()).spawn(load)
        };
        let formatter =
            formatter.map_err(|e| Error::new(Code::OutOfMemory, format!("cannot start a thread: {e}")))?;
        let limit = options
            .media_cache_bytes
            .map_or(encoded::DEFAULT_LIMIT, |n| usize::try_from(n).unwrap_or(usize::MAX));
        let (progress, encoded) = (options.progress.as_deref(), Known::default());
        let kept = (limit, encoded.clone());
        let loaded = planned.start(&cancel, progress, kept, bond.as_ref());
        let Planned { snapshot, architecture, device, budget, .. } = planned;
        let formatter = formatter.join().unwrap_or_else(|_| {
            Err(Error::new(Code::Panic, "a bug in rmlx was caught while reading the tokenizer"))
        });
        let (id, [weight_bytes, mapped_bytes]) = loaded?;
        let unload = || worker::tell(move |worker| worker.remove_model(id));
        let formatter = formatter.inspect_err(|_| unload())?;
        let fingerprint = snapshot.fingerprint().inspect_err(|_| unload())?;
        let defaults = GenerationDefaults::read(
            snapshot.generation_config.as_ref(),
            &snapshot.config,
            &architecture.facts().eos,
        );
        let dialect = architecture.dialect();
        let mut end_tokens = defaults.end_tokens.clone();
        end_tokens.extend(formatter.turn_ends(dialect.ends()));
        let mut info = told(&snapshot, architecture.as_ref(), &budget.held().storages);
        info["device"] = json!(device.name());
        info["loaded_bytes"] = json!(weight_bytes);
        info["cache_type"] = json!(budget.cache_type());
        info["mapped_bytes"] = json!(mapped_bytes);
        info["context_length"] = json!(memory.context_length);
        info["chat_template"] = json!(formatter.has_template());
        info["ranks"] = json!(shard.size());
        for note in notes(&snapshot, architecture.as_ref()) {
            log::warning(&format!("{}: {note}", dir.display()));
        }
        log::info(&format!("loaded {} from {}", architecture.facts().name, dir.display()));
        Ok(Self(Arc::new(Shared {
            id,
            marks: Marks::resolve(dialect, |spelling| formatter.token_id(spelling)),
            end_tokens,
            formatter: Arc::new(formatter),
            architecture,
            defaults,
            info,
            memory,
            encoded,
            fingerprint,
            compiler: OnceCell::new(),
        })))
    }

    /// What a snapshot folder holds, without reading a weight.
    pub fn inspect(dir: &Path) -> Result<Value> {
        // Where MLX does not run there is no load that could refuse anything.
        if require_platform().is_err() {
            let snapshot = Snapshot::open(dir)?;
            return Ok(told(&snapshot, architecture(&snapshot)?.as_ref(), &Storages::new()));
        }
        let planned = Planned::open(dir, &LoadOptions::default(), Shard::WHOLE, &CancelToken::default())?;
        Ok(told(&planned.snapshot, planned.architecture.as_ref(), &planned.budget.held().storages))
    }

    /// [`Model::inspect`]'s facts and those of the loaded form: device, bytes, context length.
    pub fn info(&self) -> &Value {
        &self.0.info
    }

    /// Ids of a text. With `parse_special`, spellings of special tokens become those tokens.
    pub fn tokenize(&self, text: &str, parse_special: bool) -> Result<Vec<u32>> {
        self.0.formatter.encode(text, parse_special)
    }

    /// The text of ids; special tokens are spelled out unless `skip_special`.
    pub fn detokenize(&self, ids: &[u32], skip_special: bool) -> Result<String> {
        self.0.formatter.decode(ids, skip_special)
    }

    /// The text that the snapshot's chat template makes of a prompt, media placeholders included.
    pub fn render_prompt(&self, prompt: &Prompt, options: &GenerationOptions) -> Result<String> {
        self.0.formatter.render(&with_thinking(prompt, options), true)
    }

    /// Positions that a prompt takes, soft tokens included.
    pub fn count_tokens(&self, prompt: &Prompt, options: &GenerationOptions) -> Result<usize> {
        Ok(self.place(prompt, options)?.ids.len())
    }

    /// The same medium with only what this model takes of it left, where that is less than all of it: sessions of this
    /// model, and of others that take it at the same sizes, answer the same bits and know it by the same hash. Sounds
    /// stay as they are.
    ///
    /// Errors: `Unsupported` for a medium or a wish that the model does not know, `InvalidArgument` for one that was
    /// prepared for another model, `InvalidMedia`, `OutOfMemory`, and what `check` ends it with.
    pub fn prepare_media(&self, media: &Arc<Media>, check: Check) -> Result<Media> {
        models::reduce(self.0.architecture.media(), media, check)
    }

    /// Positions that a session can have at most.
    pub fn context_length(&self) -> usize {
        self.0.memory.context_length
    }

    /// What the model and its sessions may take.
    pub(super) fn memory(&self) -> &Memory {
        &self.0.memory
    }

    /// Processes that run the model together.
    pub(super) fn ranks(&self) -> usize {
        self.0.info["ranks"].as_u64().map_or(1, |ranks| ranks as usize)
    }

    /// Rows of the logits.
    pub fn vocab_size(&self) -> usize {
        self.0.architecture.facts().vocab_size
    }

    /// What is known of the device that the model runs on, after asking it for each mode that MLX has: see
    /// [`SelfTest::report`](crate::nn::self_test::SelfTest::report).
    pub(crate) fn backend_report(&self) -> Result<Value> {
        let id = self.0.id;
        worker::call(Kind::Work, move |worker| {
            let device = worker.model(id)?.device;
            Ok(nn::on(device, || worker.self_test.report(device, &Mlx(device))))
        })
    }

    pub(super) fn place(&self, prompt: &Prompt, options: &GenerationOptions) -> Result<Placed> {
        let layout: &dyn MediaLayout = self.0.architecture.media();
        let generated = if options.exact_history { prompt.generated(self.setting(options)) } else { None };
        let placed = self.0.formatter.place_after(&with_thinking(prompt, options), layout, generated)?;
        self.check_ids(&placed.ids)?;
        Ok(placed)
    }

    /// What the tokens of a prompt depend on beside the prompt.
    pub(super) fn setting(&self, options: &GenerationOptions) -> Setting {
        Setting { model: self.id(), thinking: options.thinking }
    }

    /// A host's own ids, and those of a tokenizer that does not belong to the weights, may have no embedding.
    fn check_ids(&self, ids: &[u32]) -> Result<()> {
        let most = self.vocab_size();
        match ids.iter().position(|&id| id as usize >= most) {
            None => Ok(()),
            Some(index) => {
                let message = format!("token id {} is outside of the vocabulary of {most}", ids[index]);
                Err(Error::invalid_argument(message).with("token", ids[index]).with("index", index))
            }
        }
    }

    pub(super) fn id(&self) -> u64 {
        self.0.id
    }

    pub(crate) fn formatter(&self) -> &Arc<Formatter> {
        &self.0.formatter
    }

    pub(crate) fn architecture(&self) -> &dyn Architecture {
        self.0.architecture.as_ref()
    }

    /// The media that the model has encodings of.
    pub(super) fn encoded(&self) -> &Known {
        &self.0.encoded
    }

    /// What tells the snapshot from others.
    pub(super) fn fingerprint(&self) -> &[u8; 32] {
        &self.0.fingerprint
    }

    pub(super) fn marks(&self) -> &Marks {
        &self.0.marks
    }

    /// What ends an answer: what the snapshot's files name, and what the template ends turns with.
    pub(super) fn end_tokens(&self) -> &BTreeSet<u32> {
        &self.0.end_tokens
    }

    /// Compiles grammars for the model's tokens.
    pub(super) fn compiler(&self) -> Result<&Compiler> {
        self.0.compiler.get_or_try_init(|| {
            let formatter = &self.0.formatter;
            let form = |id| match formatter.token_bytes(id)? {
                None => Ok(TokenForm::Nothing),
                Some(_) if formatter.is_control(id) => {
                    Ok(TokenForm::Control(formatter.token_text(id).unwrap_or_default()))
                }
                Some(bytes) => Ok(TokenForm::Text(bytes)),
            };
            let shared = Arc::clone(formatter);
            Compiler::new(Vocabulary {
                forms: (0..self.vocab_size() as u32).map(form).collect::<Result<_>>()?,
                ends: self.0.end_tokens.iter().copied().collect(),
                encode: Box::new(move |text| shared.encode(text, false).unwrap_or_default()),
            })
        })
    }

    pub(super) fn defaults(&self) -> &GenerationDefaults {
        &self.0.defaults
    }
}

/// The prompt with what the options say to the template.
fn with_thinking<'a>(prompt: &'a Prompt, options: &GenerationOptions) -> Cow<'a, Prompt> {
    let Some(on) = options.thinking else { return Cow::Borrowed(prompt) };
    let mut prompt = prompt.clone();
    prompt.template_vars.insert("enable_thinking".into(), Value::Bool(on));
    Cow::Owned(prompt)
}

/// The simulator of iOS has no Metal that MLX could use, and MLX would stop the process when it finds out.
pub(super) fn require_platform() -> Result<()> {
    if cfg!(all(target_os = "ios", target_abi = "sim")) {
        return Err(Error::unsupported("MLX does not run in the iOS simulator: use a device, or a Mac"));
    }
    Ok(())
}

fn choose(choice: DeviceChoice) -> Result<Device> {
    match (choice, default_device()) {
        (DeviceChoice::Auto, device) => Ok(device),
        (DeviceChoice::Cpu, _) => Ok(Device::Cpu),
        (DeviceChoice::Gpu, Device::Gpu) => Ok(Device::Gpu),
        (DeviceChoice::Gpu, Device::Cpu) => Err(Error::unsupported(
            "a GPU was asked for, and MLX has none here; ask for the CPU or leave the choice",
        )),
    }
}

/// A snapshot that can be loaded, where to, and what it takes there.
pub(super) struct Planned {
    pub snapshot: Arc<Snapshot>,
    pub architecture: Arc<dyn Architecture>,
    pub device: Device,
    /// What keys and values are kept as, if not as the activations.
    cache: Option<Dtype>,
    pub budget: Arc<Budget>,
}

/// Sends on how far a load is, until that is done.
fn relay(shares: mpsc::Receiver<f32>, progress: Option<&(dyn Fn(f32) + Send + Sync)>) {
    for share in shares {
        if let Some(progress) = progress {
            progress(share);
        }
    }
}

impl Planned {
    /// From the configuration and the headers of the weight files; what one rank of a group would hold.
    pub fn open(dir: &Path, options: &LoadOptions, shard: Shard, cancel: &CancelToken) -> Result<Planned> {
        let maps = limits::maps(options.weights, Platform::current());
        let snapshot = Arc::new(Snapshot::open(dir)?.with_maps(maps));
        Formatter::require_files(dir)?;
        let architecture: Arc<dyn Architecture> = Arc::from(architecture(&snapshot)?);
        let (device, cache) = (choose(options.device)?, options.cache_type.dtype());
        let budget = Arc::new(plan(&snapshot, &architecture, device, cache, shard, cancel)?);
        Ok(Planned { snapshot, architecture, device, cache, budget })
    }

    /// Loads on the MLX thread and relays progress to the calling one; the model's id, and its weights' bytes: all of them, and
    /// those in the pages of the files.
    fn start(
        &self,
        cancel: &CancelToken,
        progress: Option<&(dyn Fn(f32) + Send + Sync)>,
        (media_cache_bytes, known): (usize, Known),
        bond: Option<&Arc<Bond>>,
    ) -> Result<(u64, [u64; 2])> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let occupied = bond.map(Bond::occupy).transpose()?;
        let (architecture, device, budget) =
            (Arc::clone(&self.architecture), self.device, Arc::clone(&self.budget));
        self.load(cancel, progress, bond, move |worker, model, group| {
            let bytes = [model.held().bytes(), model.held().mapped];
            let model: Rc<dyn LanguageModel> = match group.zip(occupied) {
                Some((group, occupied)) => Rc::new(Leader::new(model, group, occupied)),
                None => model.into(),
            };
            let encoded = Rc::new(RefCell::new(EncodedMedia::new(media_cache_bytes, known)));
            worker.add_model(LoadedModel { id, architecture, model, encoded, device, budget });
            Ok((id, bytes))
        })
    }

    /// Loads a part of the model, which follows rank 0 of the group.
    pub fn start_following(
        &self,
        bond: &Arc<Bond>,
        cancel: &CancelToken,
        progress: Option<&(dyn Fn(f32) + Send + Sync)>,
    ) -> Result<()> {
        let device = self.device;
        self.load(cancel, progress, Some(bond), move |worker, model, group| {
            worker.follower = group.map(|group| Follower::new(model, group, device));
            Ok(())
        })
    }

    /// Loads on the MLX thread, where the model is given to `keep`.
    fn load<R: Send + 'static>(
        &self,
        cancel: &CancelToken,
        progress: Option<&(dyn Fn(f32) + Send + Sync)>,
        bond: Option<&Arc<Bond>>,
        keep: impl FnOnce(&mut Worker, Box<dyn LanguageModel>, Option<Rc<Group>>) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        static HAS_READ: AtomicBool = AtomicBool::new(false);
        let (shares, received) = mpsc::channel();
        let (snapshot, architecture) = (Arc::clone(&self.snapshot), Arc::clone(&self.architecture));
        let (device, budget, cancel) = (self.device, Arc::clone(&self.budget), cancel.clone());
        let cache = self.cache;
        let own = bond.map(|bond| Ok::<_, Error>((Arc::clone(bond), snapshot.fingerprint()?))).transpose()?;
        let outcome = worker::start(Kind::Load, move |worker| {
            if !HAS_READ.load(Ordering::Acquire) {
                threads::require(READERS)?;
            }
            let mut report = |share: f32| {
                let _ = shares.send(share);
                cancel.check()
            };
            let group = own
                .as_ref()
                .map(|(bond, fingerprint)| nn::on(device, || meet(bond, *fingerprint, device, cache)));
            let group = group.transpose()?;
            let shared = RefCell::new(&mut *worker);
            let border = || {
                shared.borrow_mut().border(|| cancel.check())?;
                group.as_ref().map_or(Ok(()), |group| group.bond().check())
            };
            let ranks = group.as_ref().map_or_else(Ranks::alone, Ranks::of);
            let mut context = LoadContext {
                snapshot: &snapshot,
                device,
                progress: &mut report,
                cache,
                border: &border,
                ranks,
            };
            let storages = &budget.held().storages;
            let model = checked_load(&shared, &Mlx(device), architecture.as_ref(), storages, &mut context);
            let model = match &group {
                Some(group) => nn::on(device, || agree::outcome(group, model)),
                None => model,
            }?;
            keep(worker, model, group)
        })?;
        // The sender lives in the closure, so this ends with it.
        relay(received, progress);
        let kept = worker::wait(&outcome)?;
        HAS_READ.store(true, Ordering::Release);
        Ok(kept)
    }
}

/// This process's place among the ranks that `bond` holds together, once all of them are seen to have the same.
fn meet(bond: &Arc<Bond>, fingerprint: [u8; 32], device: Device, cache: Option<Dtype>) -> Result<Rc<Group>> {
    let group = Group::new(Handle::join(bond.backend())?, bond)?;
    agree::introduce(&group)?;
    agree::compare(&group, &agree::Record { fingerprint, device, cache })?;
    Ok(Rc::new(group))
}

/// What a load would hold, from headers alone: the load itself, with nothing read. What it refuses is refused here, in the
/// same words.
fn plan(
    snapshot: &Arc<Snapshot>,
    architecture: &Arc<dyn Architecture>,
    device: Device,
    cache: Option<Dtype>,
    shard: Shard,
    cancel: &CancelToken,
) -> Result<Budget> {
    let (snapshot, architecture, cancel) = (Arc::clone(snapshot), Arc::clone(architecture), cancel.clone());
    worker::call(Kind::Load, move |_| {
        let headers = snapshot.as_ref().clone().without_data();
        let mut go_on = |_| cancel.check();
        let mut context = LoadContext {
            snapshot: &headers,
            device,
            progress: &mut go_on,
            cache,
            border: &|| Ok(()),
            ranks: Ranks::planned(shard),
        };
        let model = nn::on(device, || architecture.load(&mut context))?;
        if device == Device::Gpu {
            limits::check_buffers(model.held(), mlx::gpu_fact(c"max_buffer_length"))?;
        }
        Ok(Budget::new(model.as_ref(), architecture.facts().vocab_size))
    })
}

/// What a snapshot holds, and what of it is not used.
fn told(snapshot: &Snapshot, architecture: &dyn Architecture, storages: &Storages) -> Value {
    let media = architecture.modalities();
    let modalities: Vec<&str> = ["text"].into_iter().chain(media.iter().map(|kind| kind.name())).collect();
    let mut told = snapshot.inspect(storages);
    told["modalities"] = json!(modalities);
    told["notes"] = json!(notes(snapshot, architecture).collect::<Vec<_>>());
    told
}

/// What of a snapshot is not used, in sentences.
fn notes<'a>(snapshot: &'a Snapshot, architecture: &'a dyn Architecture) -> impl Iterator<Item = &'a String> {
    snapshot.notes().iter().chain(&architecture.facts().notes)
}

/// What reading the tokenizer and the template takes, from the sizes of their files.
fn text_bytes(dir: &Path) -> u64 {
    let size = |name: &str| std::fs::metadata(dir.join(name)).map_or(0, |file| file.len());
    TOKENIZER_FACTOR * (size("tokenizer.json") + size("chat_template.jinja"))
}

/// Loads the weights once the device is known to compute as it should with their storages.
fn checked_load(
    worker: &RefCell<&mut Worker>,
    operations: &dyn Operations,
    architecture: &dyn Architecture,
    storages: &Storages,
    context: &mut LoadContext,
) -> Result<Box<dyn LanguageModel>> {
    let device = context.device;
    let mut used = Vec::new();
    for storage in storages.values() {
        if !used.contains(storage) {
            used.push(*storage);
        }
    }
    nn::on(device, || {
        system::unhurried(|| {
            (context.border)()?;
            worker.borrow_mut().self_test.require(device, &used, operations)?;
            architecture.load(context)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::event::EventKind;
    use super::super::options::SessionOptions;
    use super::super::session::Session;
    use super::*;
    use crate::nn::self_test::{Attention, Product};

    /// Answers nothing but zeros.
    struct Zeros;

    impl Operations for Zeros {
        fn product(&self, product: &Product, rows: usize) -> Result<Vec<f32>> {
            Ok(vec![0.0; rows * product.output])
        }

        fn attention(&self, attention: &Attention) -> Result<Vec<f32>> {
            Ok(vec![0.0; attention.q.len()])
        }
    }

    #[test]
    fn a_load_on_a_device_that_computes_wrongly_answers_backend_and_reads_nothing() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/unified-bf16-mlx");
        let snapshot = Snapshot::open(&folder).unwrap();
        let architecture = architecture(&snapshot).unwrap();
        let reported = std::cell::Cell::new(false);
        let mut progress = |_| {
            reported.set(true);
            Ok(())
        };
        let mut context = LoadContext {
            snapshot: &snapshot,
            device: Device::Cpu,
            progress: &mut progress,
            cache: None,
            border: &|| Ok(()),
            ranks: Ranks::alone(),
        };
        let storages = Storages::new();
        let mut worker = Worker::default();
        let worker = RefCell::new(&mut worker);
        let refused = checked_load(&worker, &Zeros, architecture.as_ref(), &storages, &mut context);
        assert_eq!(refused.err().map(|error| error.code()), Some(Code::Backend));
        // What was found is kept: the right operations are not asked any more.
        let again = checked_load(&worker, &Mlx(Device::Cpu), architecture.as_ref(), &storages, &mut context);
        assert_eq!(again.err().map(|error| error.code()), Some(Code::Backend));
        assert!(!reported.get());
        let mut fresh = Worker::default();
        let fresh = RefCell::new(&mut fresh);
        assert!(
            checked_load(&fresh, &Mlx(Device::Cpu), architecture.as_ref(), &storages, &mut context).is_ok()
        );
    }
    /// By a step between two groups of tensors, so that it waits for a group and not for a load.
    #[test]
    fn the_answer_of_another_model_goes_on_within_a_load() {
        let load = |folder: &str| {
            let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder);
            Model::load(&dir, LoadOptions::default()).unwrap()
        };
        let model = load("unified-mxfp4");
        let session = Session::new(&model, &SessionOptions::default()).unwrap();
        let prompt = Prompt { tokens: Some(vec![2, 300, 301]), ..Prompt::default() };
        let options = GenerationOptions { max_tokens: Some(100), ignore_eos: true, ..Default::default() };
        let done = AtomicBool::new(false);
        let answer = || {
            session.submit(&prompt, &options).unwrap();
            while session.step().unwrap().kind != EventKind::Finish {}
            session.reset().unwrap();
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    answer();
                }
            });
            let units = || worker::call(Kind::Anytime, |worker| Ok(worker.within_loads)).unwrap();
            // How often depends on when the answer's host is given time to take its events.
            let goes_on = (0..300).any(|_| {
                drop(load("unified-bf16-mlx"));
                units() >= 20
            });
            done.store(true, Ordering::Release);
            assert!(goes_on);
        });
    }
}

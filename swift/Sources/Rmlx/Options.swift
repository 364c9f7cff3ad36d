import CRmlx

/// Where a model runs.
public struct Device: RawRepresentable, Hashable, Sendable {
  /// The number that the C library gives it.
  public let rawValue: Int32

  /// Makes a device of its number.
  public init(rawValue: Int32) {
    self.rawValue = rawValue
  }

  /// The GPU where MLX has one, else the CPU.
  public static let automatic = Device(rawValue: RMLX_DEVICE_AUTO)
  /// The CPU.
  public static let cpu = Device(rawValue: RMLX_DEVICE_CPU)
  /// The GPU; loading throws ``RmlxError/Code/unsupported`` where there is none.
  public static let gpu = Device(rawValue: RMLX_DEVICE_GPU)
}

/// Where weights are that stay as they are stored.
public struct WeightStorage: RawRepresentable, Hashable, Sendable {
  /// The number that the C library gives it.
  public let rawValue: Int32

  /// Makes a storage of its number.
  public init(rawValue: Int32) {
    self.rawValue = rawValue
  }

  /// As ``mapped`` on iOS, as ``read`` elsewhere.
  public static let automatic = WeightStorage(rawValue: RMLX_WEIGHTS_AUTO)
  /// In memory that the model holds.
  public static let read = WeightStorage(rawValue: RMLX_WEIGHTS_READ)
  /// In the pages of their files where the GPU takes them from there: they do not count as memory that the app holds. The files
  /// must not be written to, nor become shorter, as long as the model is there.
  public static let mapped = WeightStorage(rawValue: RMLX_WEIGHTS_MAPPED)
}

/// What keys and values of a model's sessions are kept as.
public struct CacheType: RawRepresentable, Hashable, Sendable {
  /// The number that the C library gives it.
  public let rawValue: Int32

  /// Makes a type of its number.
  public init(rawValue: Int32) {
    self.rawValue = rawValue
  }

  /// As the activations are computed: 32-bit floats on the CPU, the snapshot's type on a GPU.
  public static let automatic = CacheType(rawValue: RMLX_CACHE_AUTO)
  /// 32-bit floats.
  public static let float32 = CacheType(rawValue: RMLX_CACHE_F32)
  /// 16-bit floats with 10 bits of fraction.
  public static let float16 = CacheType(rawValue: RMLX_CACHE_F16)
  /// The upper 16 bits of 32-bit floats.
  public static let bfloat16 = CacheType(rawValue: RMLX_CACHE_BF16)
}

/// How a model is loaded.
///
/// What is nil has the library's default.
public struct LoadOptions: Hashable, Sendable {
  /// Where the model runs.
  public var device: Device?
  /// Where its weights are.
  public var weights: WeightStorage?
  /// What keys and values of its sessions are kept as: 16 bits take half of the memory, and move logits a little.
  public var cacheType: CacheType?
  /// Gives the model and a session at most so many bytes, weights, cache and computation together: a load that needs more is
  /// refused before any weight is read, and sessions get the context that fits.
  public var memoryLimit: Int?
  /// Limits the context of every session to so many tokens; prompt, media and answer together.
  public var contextLength: Int?
  /// How many bytes of encoded images and sounds the model keeps, so that a medium that is shown to it again is not encoded
  /// again; 0 keeps none.
  public var mediaCache: Int?
  /// Takes a chat template in the place of the snapshot's own: Jinja, with what transformers gives to templates. One that is
  /// not fails the load with ``RmlxError/Code/invalidArgument``, and the error's details have the line.
  public var chatTemplate: String?
  /// Does not look at the memory that the system has. Otherwise a load, a prompt or a medium that needs more than the system
  /// says to have left throws ``RmlxError/Code/outOfMemory``.
  public var ignoreSystemMemory: Bool?

  /// Makes options; what is not named has the library's default.
  public init(
    device: Device? = nil, weights: WeightStorage? = nil, cacheType: CacheType? = nil, memoryLimit: Int? = nil,
    contextLength: Int? = nil, mediaCache: Int? = nil, chatTemplate: String? = nil, ignoreSystemMemory: Bool? = nil
  ) {
    self.device = device
    self.weights = weights
    self.cacheType = cacheType
    self.memoryLimit = memoryLimit
    self.contextLength = contextLength
    self.mediaCache = mediaCache
    self.chatTemplate = chatTemplate
    self.ignoreSystemMemory = ignoreSystemMemory
  }
}

/// How a session is made.
///
/// What is nil has the library's default.
public struct SessionOptions: Hashable, Sendable {
  /// Limits the context to so many tokens; prompt, media and answer together.
  public var contextLength: Int?
  /// Evaluates a prompt in pieces of so many tokens: smaller ones need less memory and let a cancel through sooner.
  public var prefillChunk: Int?
  /// Keeps the states of so many earlier positions, to come back to where layers have a sliding window: an edit of an older turn
  /// then evaluates about as much as lies behind it. 0 keeps none.
  public var checkpoints: Int?
  /// Leaves out the oldest turns of a conversation that does not fit into the context, in place of
  /// ``RmlxError/Code/contextFull``. Messages of the role ``Message/Role/system`` stay, and so do so many of the last turns. The
  /// prompt is not changed; ``Statistics/droppedMessages`` says how many messages were left out.
  public var keepTurns: Int?

  /// Makes options; what is not named has the library's default.
  public init(
    contextLength: Int? = nil, prefillChunk: Int? = nil, checkpoints: Int? = nil, keepTurns: Int? = nil
  ) {
    self.contextLength = contextLength
    self.prefillChunk = prefillChunk
    self.checkpoints = checkpoints
    self.keepTurns = keepTurns
  }
}

/// How an answer is generated.
///
/// What is nil comes from the snapshot's `generation_config.json`.
public struct GenerationOptions: Hashable, Sendable {
  /// Ends the answer after so many tokens.
  public var maxTokens: Int?
  /// 0 always takes the likeliest token (greedy), 1 samples by the model's own probabilities.
  public var temperature: Double?
  /// Samples among so many of the likeliest tokens only; 0 for all of them.
  public var topK: Int?
  /// Samples among the likeliest tokens whose probabilities together reach this only; 1 for all of them.
  public var topP: Double?
  /// Drops tokens that are less likely than this times the likeliest one; 0 drops none.
  public var minP: Double?
  /// Makes tokens that prompt or answer already hold less likely; 1 is off.
  public var repetitionPenalty: Double?
  /// Is taken from the logit of each token that the answer already holds, once; 0 is off.
  public var presencePenalty: Double?
  /// Is taken from the logit of each token that the answer already holds, as often as it holds it; 0 is off.
  public var frequencyPenalty: Double?
  /// Makes tokens that would lengthen a repeated run of tokens less likely.
  public var dry: DRY?
  /// Forbids every token that would make a run of so many tokens come twice, in prompt and answer together; 0 is off.
  public var noRepeatNgramSize: Int?
  /// Ends an answer that goes round in a circle, with ``Event/Finish/Reason/loop``.
  public var loopDetection: LoopDetection?
  /// Changes the logits before all else.
  public var logitsProcessor: LogitsProcessor?
  /// The same seed, prompt and options give the same answer on the same machine.
  public var seed: Int?
  /// The answer ends before the first of these that appears in it, and no part of it is handed out.
  public var stop: [String]
  /// The answer ends with the first of these tokens, whose text is not handed out.
  public var stopTokens: [TokenID]
  /// Is added to the logits of tokens at every step; `-.infinity` forbids a token.
  public var logitBias: [TokenID: Double]
  /// Gives each token its log-probability and so many of the likeliest tokens at its place.
  public var topLogprobs: Int?
  /// Asks the model to think before it answers, or not to, if its chat template knows how.
  public var thinking: Bool?
  /// Ends the model's thought after so many tokens, so that the answer begins.
  public var thinkingBudget: Int?
  /// What the answer has to look like. Together with a ``toolChoice`` that demands a call it is an error, as nothing is answered
  /// beside that; a ``Conversation`` holds the answer that comes after the call to it.
  public var constraint: Constraint?
  /// Whether the model calls tools. A ``Conversation`` leaves it to the model after the first round.
  public var toolChoice: ToolChoice?
  /// Keeps answers in the history as they were generated, token by token, so that nothing but what is new is evaluated.
  ///
  /// Otherwise the history is what the chat template makes of it, as in transformers: it may drop thoughts or spell a call
  /// anew, and from there on it is evaluated again. It holds for a session's next prompt if both have this option and the same
  /// ``thinking``, and the prompt is the last one, with ``Response/message`` and what comes after it appended; a
  /// ``Conversation`` does that. Any other one has the template's history.
  public var exactHistory: Bool?
  /// Goes on after tokens that end the model's turn, for benchmarks.
  public var ignoreEndOfTurn: Bool?
  /// Asks for events of the kind ``Event/Kind/progress`` while the prompt is evaluated.
  public var progressEvents: Bool?
  /// Proposes what followed the last time that the last few tokens stood in prompt or answer, and evaluates that in one pass: the
  /// answer is the same, and sooner there where it repeats what it was given.
  public var promptLookup: Bool?

  /// Makes options; what is not named comes from the snapshot.
  public init(
    maxTokens: Int? = nil,
    temperature: Double? = nil,
    topK: Int? = nil,
    topP: Double? = nil,
    minP: Double? = nil,
    repetitionPenalty: Double? = nil,
    presencePenalty: Double? = nil,
    frequencyPenalty: Double? = nil,
    dry: DRY? = nil,
    noRepeatNgramSize: Int? = nil,
    loopDetection: LoopDetection? = nil,
    logitsProcessor: LogitsProcessor? = nil,
    seed: Int? = nil,
    stop: [String] = [],
    stopTokens: [TokenID] = [],
    logitBias: [TokenID: Double] = [:],
    topLogprobs: Int? = nil,
    thinking: Bool? = nil,
    thinkingBudget: Int? = nil,
    constraint: Constraint? = nil,
    toolChoice: ToolChoice? = nil,
    exactHistory: Bool? = nil,
    ignoreEndOfTurn: Bool? = nil,
    progressEvents: Bool? = nil,
    promptLookup: Bool? = nil
  ) {
    self.maxTokens = maxTokens
    self.temperature = temperature
    self.topK = topK
    self.topP = topP
    self.minP = minP
    self.repetitionPenalty = repetitionPenalty
    self.presencePenalty = presencePenalty
    self.frequencyPenalty = frequencyPenalty
    self.dry = dry
    self.noRepeatNgramSize = noRepeatNgramSize
    self.loopDetection = loopDetection
    self.logitsProcessor = logitsProcessor
    self.seed = seed
    self.stop = stop
    self.stopTokens = stopTokens
    self.logitBias = logitBias
    self.topLogprobs = topLogprobs
    self.thinking = thinking
    self.thinkingBudget = thinkingBudget
    self.constraint = constraint
    self.toolChoice = toolChoice
    self.exactHistory = exactHistory
    self.ignoreEndOfTurn = ignoreEndOfTurn
    self.progressEvents = progressEvents
    self.promptLookup = promptLookup
  }

  /// Always takes the likeliest token.
  public static let greedy = GenerationOptions(temperature: 0)
}

extension LoadOptions: RawOptions {
  static func make() -> OpaquePointer? { rmlx_load_options_new() }
  static func release(_ raw: OpaquePointer) { rmlx_load_options_release(raw) }

  func apply(to raw: OpaquePointer) throws(RmlxError) {
    try set(device?.rawValue, in: raw, rmlx_load_options_set_device)
    try set(weights?.rawValue, in: raw, rmlx_load_options_set_weights)
    try set(cacheType?.rawValue, in: raw, rmlx_load_options_set_cache_type)
    try set(memoryLimit, "memoryLimit", in: raw, rmlx_load_options_set_memory_limit)
    try set(contextLength, "contextLength", in: raw, rmlx_load_options_set_context_length)
    try set(mediaCache, "mediaCache", in: raw, rmlx_load_options_set_media_cache)
    try set(ignoreSystemMemory, in: raw, rmlx_load_options_set_ignore_system_memory)
    if let chatTemplate { try set(text: chatTemplate, in: raw, rmlx_load_options_set_chat_template) }
  }
}

extension SessionOptions: RawOptions {
  static func make() -> OpaquePointer? { rmlx_session_options_new() }
  static func release(_ raw: OpaquePointer) { rmlx_session_options_release(raw) }

  func apply(to raw: OpaquePointer) throws(RmlxError) {
    try set(contextLength, "contextLength", in: raw, rmlx_session_options_set_context_length)
    try set(prefillChunk, "prefillChunk", in: raw, rmlx_session_options_set_prefill_chunk)
    try set(checkpoints, "checkpoints", in: raw, rmlx_session_options_set_checkpoints)
    try set(keepTurns, "keepTurns", in: raw, rmlx_session_options_set_keep_turns)
  }
}

extension GenerationOptions: RawOptions {
  static func make() -> OpaquePointer? { rmlx_generation_options_new() }
  static func release(_ raw: OpaquePointer) { rmlx_generation_options_release(raw) }

  func apply(to raw: OpaquePointer) throws(RmlxError) {
    try set(maxTokens, "maxTokens", in: raw, rmlx_generation_options_set_max_tokens)
    try set(temperature, in: raw, rmlx_generation_options_set_temperature)
    try set(topK, "topK", in: raw, rmlx_generation_options_set_top_k)
    try set(topP, in: raw, rmlx_generation_options_set_top_p)
    try set(minP, in: raw, rmlx_generation_options_set_min_p)
    try set(repetitionPenalty, in: raw, rmlx_generation_options_set_repetition_penalty)
    try set(presencePenalty, in: raw, rmlx_generation_options_set_presence_penalty)
    try set(frequencyPenalty, in: raw, rmlx_generation_options_set_frequency_penalty)
    try set(noRepeatNgramSize, "noRepeatNgramSize", in: raw, rmlx_generation_options_set_no_repeat_ngram)
    try dry?.apply(to: raw)
    try loopDetection?.apply(to: raw)
    try set(seed.map { UInt64(bitPattern: Int64($0)) }, in: raw, rmlx_generation_options_set_seed)
    try set(topLogprobs, "topLogprobs", in: raw, rmlx_generation_options_set_top_logprobs)
    try set(thinking, in: raw, rmlx_generation_options_set_thinking)
    try set(thinkingBudget, "thinkingBudget", in: raw, rmlx_generation_options_set_thinking_budget)
    try set(exactHistory, in: raw, rmlx_generation_options_set_exact_history)
    try set(ignoreEndOfTurn, in: raw, rmlx_generation_options_set_ignore_eos)
    try set(progressEvents, in: raw, rmlx_generation_options_set_progress_events)
    if let promptLookup {
      let kind = promptLookup ? RMLX_SPECULATION_PROMPT_LOOKUP : RMLX_SPECULATION_NONE
      try check { error in rmlx_generation_options_set_speculation(raw, kind, 0, error) }
    }
    try constraint?.apply(to: raw)
    try toolChoice?.apply(to: raw)
    for text in stop { try set(text: text, in: raw, rmlx_generation_options_add_stop) }
    for token in stopTokens { try set(token, in: raw, rmlx_generation_options_add_stop_token) }
    for (token, bias) in logitBias {
      try check { error in rmlx_generation_options_add_logit_bias(raw, token, Float(bias), error) }
    }
  }
}

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

/// How a model is loaded.
///
/// What is nil has the library's default.
public struct LoadOptions: Hashable, Sendable {
  /// Where the model runs.
  public var device: Device?
  /// Gives the model and a session at most so many bytes, weights, cache and computation together: a load that needs more is
  /// refused before any weight is read, and sessions get the context that fits.
  public var memoryLimit: UInt64?
  /// Limits the context of every session to so many tokens; prompt, media and answer together.
  public var contextLength: Int?
  /// How many bytes of encoded images and sounds the model keeps, so that a medium that is shown to it again is not encoded
  /// again; 0 keeps none.
  public var mediaCache: UInt64?

  /// Makes options; what is not named has the library's default.
  public init(
    device: Device? = nil, memoryLimit: UInt64? = nil, contextLength: Int? = nil, mediaCache: UInt64? = nil
  ) {
    self.device = device
    self.memoryLimit = memoryLimit
    self.contextLength = contextLength
    self.mediaCache = mediaCache
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

  /// Makes options; what is not named has the library's default.
  public init(contextLength: Int? = nil, prefillChunk: Int? = nil) {
    self.contextLength = contextLength
    self.prefillChunk = prefillChunk
  }
}

/// How an answer is generated.
///
/// What is nil comes from the snapshot's `generation_config.json`.
public struct GenerationOptions: Hashable, Sendable {
  /// Ends the answer after so many tokens.
  public var maxTokens: Int?
  /// 0 always takes the likeliest token (greedy), 1 samples by the model's own probabilities.
  public var temperature: Float?
  /// Samples among so many of the likeliest tokens only; 0 for all of them.
  public var topK: UInt32?
  /// Samples among the likeliest tokens whose probabilities together reach this only; 1 for all of them.
  public var topP: Float?
  /// Drops tokens that are less likely than this times the likeliest one; 0 drops none.
  public var minP: Float?
  /// Makes tokens that prompt or answer already hold less likely; 1 is off.
  public var repetitionPenalty: Float?
  /// Is taken from the logit of each token that the answer already holds, once; 0 is off.
  public var presencePenalty: Float?
  /// Is taken from the logit of each token that the answer already holds, as often as it holds it; 0 is off.
  public var frequencyPenalty: Float?
  /// The same seed, prompt and options give the same answer on the same machine.
  public var seed: UInt64?
  /// The answer ends before the first of these that appears in it, and no part of it is handed out.
  public var stop: [String] = []
  /// Is added to the logits of tokens at every step; `-.infinity` forbids a token.
  public var logitBias: [UInt32: Float] = [:]
  /// Gives each token its log-probability and so many of the likeliest tokens at its place.
  public var topLogprobs: Int?
  /// Asks the model to think before it answers, or not to, if its chat template knows how.
  public var thinking: Bool?
  /// Goes on after tokens that end the model's turn, for benchmarks.
  public var ignoreEndOfTurn: Bool?
  /// Asks for ``Event/progress(_:)`` events while the prompt is evaluated.
  public var progressEvents: Bool?

  /// Makes options; what is not named comes from the snapshot.
  public init(
    maxTokens: Int? = nil,
    temperature: Float? = nil,
    topK: UInt32? = nil,
    topP: Float? = nil,
    minP: Float? = nil,
    seed: UInt64? = nil,
    stop: [String] = [],
    thinking: Bool? = nil
  ) {
    self.maxTokens = maxTokens
    self.temperature = temperature
    self.topK = topK
    self.topP = topP
    self.minP = minP
    self.seed = seed
    self.stop = stop
    self.thinking = thinking
  }

  /// Always takes the likeliest token.
  public static let greedy = GenerationOptions(temperature: 0)
}

/// Sizes are signed in Swift and unsigned in C; what does not fit is refused here as C refuses a 0.
private func size(_ value: Int, of name: String) throws(RmlxError) -> Int {
  if value < 0 {
    throw RmlxError(
      .invalidArgument, "\(name) is \(value), and cannot be negative", details: ["argument": .string(name)])
  }
  return value
}

/// Calls the setter if there is a value.
private func set<Value>(
  _ value: Value?, in options: OpaquePointer?,
  _ setter: (OpaquePointer?, Value, UnsafeMutablePointer<OpaquePointer?>?) -> rmlx_status
) throws(RmlxError) {
  if let value {
    try check { error in setter(options, value, error) }
  }
}

private func set(
  size value: Int?, _ name: String, in options: OpaquePointer?,
  _ setter: (OpaquePointer?, Int, UnsafeMutablePointer<OpaquePointer?>?) -> rmlx_status
) throws(RmlxError) {
  if let value {
    let positive = try size(value, of: name)
    try check { error in setter(options, positive, error) }
  }
}

extension LoadOptions {
  func apply(to raw: OpaquePointer?) throws(RmlxError) {
    try set(device?.rawValue, in: raw, rmlx_load_options_set_device)
    try set(memoryLimit, in: raw, rmlx_load_options_set_memory_limit)
    try set(size: contextLength, "contextLength", in: raw, rmlx_load_options_set_context_length)
    try set(mediaCache, in: raw, rmlx_load_options_set_media_cache)
  }
}

extension SessionOptions {
  func apply(to raw: OpaquePointer?) throws(RmlxError) {
    try set(size: contextLength, "contextLength", in: raw, rmlx_session_options_set_context_length)
    try set(size: prefillChunk, "prefillChunk", in: raw, rmlx_session_options_set_prefill_chunk)
  }
}

extension GenerationOptions {
  func apply(to raw: OpaquePointer?) throws(RmlxError) {
    try set(size: maxTokens, "maxTokens", in: raw, rmlx_generation_options_set_max_tokens)
    try set(temperature, in: raw, rmlx_generation_options_set_temperature)
    try set(topK, in: raw, rmlx_generation_options_set_top_k)
    try set(topP, in: raw, rmlx_generation_options_set_top_p)
    try set(minP, in: raw, rmlx_generation_options_set_min_p)
    try set(repetitionPenalty, in: raw, rmlx_generation_options_set_repetition_penalty)
    try set(presencePenalty, in: raw, rmlx_generation_options_set_presence_penalty)
    try set(frequencyPenalty, in: raw, rmlx_generation_options_set_frequency_penalty)
    try set(seed, in: raw, rmlx_generation_options_set_seed)
    try set(size: topLogprobs, "topLogprobs", in: raw, rmlx_generation_options_set_top_logprobs)
    try set(thinking, in: raw, rmlx_generation_options_set_thinking)
    try set(ignoreEndOfTurn, in: raw, rmlx_generation_options_set_ignore_eos)
    try set(progressEvents, in: raw, rmlx_generation_options_set_progress_events)
    for text in stop {
      try check { error in withUTF8(text) { rmlx_generation_options_add_stop(raw, $0, $1, error) } }
    }
    for (token, bias) in logitBias {
      try check { error in rmlx_generation_options_add_logit_bias(raw, token, bias, error) }
    }
  }
}

import CRmlx
import Foundation

/// One conversation with a model: it holds what was evaluated so far, and at most one answer in the making.
///
/// No call here blocks one of Swift's threads, and an answer in the making holds no thread at all while it waits for the model.
/// A session holds its model.
/// Closing it, or letting go of it, stops an answer in the making and gives its memory back.
public final class Session: Sendable {
  let core: SessionCore

  /// Makes a session. Nothing is set up before it is first used, and what is wrong with `options` is thrown then.
  public convenience init(_ model: Model, options: SessionOptions = SessionOptions()) {
    self.init(SessionCore(model, options))
  }

  init(_ core: SessionCore) {
    self.core = core
  }

  deinit {
    core.close(then: nil)
  }

  /// Answers a conversation.
  ///
  /// The sequence does nothing before it is gone through, and each time that it is gone through is an answer of its own.
  /// Cancelling the task that goes through it, leaving the loop, or closing the session stops the model within a token. The
  /// next answer that is begun in the same task ends one that was left, and so it does after ``cancel()``.
  ///
  /// Going through it throws ``RmlxError``: ``RmlxError/Code/busy`` while another task's answer is in the making,
  /// ``RmlxError/Code/invalidMedia``, ``RmlxError/Code/invalidPrompt``, ``RmlxError/Code/unsupported``,
  /// ``RmlxError/Code/contextFull``, ``RmlxError/Code/invalidArgument`` for an option out of range, and
  /// ``RmlxError/Code/cancelled`` when the task is cancelled.
  public func generate(_ prompt: Prompt, _ options: GenerationOptions = GenerationOptions()) -> Events {
    Events(session: self, prompt: prompt, options: options)
  }

  /// Answers a text.
  @_disfavoredOverload
  public func generate(_ text: String, _ options: GenerationOptions = GenerationOptions()) -> Events {
    generate(Prompt(text), options)
  }

  /// Answers a conversation, all at once.
  ///
  /// - Throws: What going through the events throws.
  public func respond(
    to prompt: Prompt, options: GenerationOptions = GenerationOptions()
  ) async throws(RmlxError) -> Response {
    var draft = Draft()
    let events = generate(prompt, options).makeAsyncIterator()
    while let event = try await events.next() { draft.add(event) }
    return Response(draft, try statistics())
  }

  /// Answers a text, all at once.
  @_disfavoredOverload
  public func respond(
    to text: String, options: GenerationOptions = GenerationOptions()
  ) async throws(RmlxError) -> Response {
    try await respond(to: Prompt(text), options: options)
  }

  /// Ends the answer in the making within a token; its sequence then ends with
  /// ``Event/Finish/Reason/cancelled``. Nobody has to go through it to its end: the next answer can begin. Without one it does
  /// nothing.
  public func cancel() {
    core.cancel()
  }

  /// Forgets everything that the session holds. An answer in the making is dropped, and whoever goes through it gets
  /// ``RmlxError/Code/cancelled``.
  public func reset() async throws(RmlxError) {
    try await core.reset()
  }

  /// The numbers of the last answer, or of the one in the making. This never waits.
  public func statistics() throws(RmlxError) -> Statistics {
    try core.statistics()
  }

  /// The logits that the token of the last event was sampled from, before any option had its effect: one number for each
  /// id of the vocabulary.
  public func logits() async throws(RmlxError) -> [Float] {
    try await core.run { (session) throws(RmlxError) in
      try readArray(zero: 0) { out, capacity, count, error in
        rmlx_session_logits(session, out, capacity, count, error)
      }
    }
  }

  /// The token ids of the last prompt as they were evaluated, with those of its media in their places.
  public func promptTokens() async throws(RmlxError) -> [TokenID] {
    try await core.run { (session) throws(RmlxError) in
      try readArray(zero: 0) { out, capacity, count, error in
        rmlx_session_prompt_tokens(session, out, capacity, count, error)
      }
    }
  }

  /// Stops an answer in the making, and gives the session's memory back before it returns. Every other use throws
  /// ``RmlxError/Code/closed`` from now on. Closing twice is fine.
  public func close() async {
    await withCheckedContinuation { continuation in
      core.close { continuation.resume() }
    }
  }

  /// Runs work on the session's queue.
  func run<Value: Sendable>(
    _ work: @escaping @Sendable (OpaquePointer) throws(RmlxError) -> Value
  ) async throws(RmlxError) -> Value {
    try await core.run(work)
  }

  /// Runs work on the session's queue, when nothing is in the making.
  func runAtRest<Value: Sendable>(
    _ work: @escaping @Sendable (OpaquePointer) throws(RmlxError) -> Value
  ) async throws(RmlxError) -> Value {
    try await core.runAtRest(work)
  }

  func begin(_ prompt: Prompt, _ options: GenerationOptions, _ purpose: SessionCore.Purpose) -> Consumer {
    Consumer(Answer(self, core, prompt, options, purpose))
  }
}

/// A whole answer.
public struct Response: Hashable, Sendable {
  /// The answer as a message of the assistant, with its thoughts and tool calls: append it to the prompt to go on.
  public let message: Message
  /// Why it ended.
  public let reason: Event.Finish.Reason
  /// Its numbers.
  public let statistics: Statistics

  /// The text of the answer.
  public var text: String { message.text }
  /// What the model thought before it answered.
  public var reasoning: String { message.reasoning ?? "" }
  /// The tools that the model called.
  public var toolCalls: [ToolCall] { message.toolCalls }

  init(_ draft: Draft, _ statistics: Statistics) {
    message = draft.message
    reason = draft.reason ?? .endOfTurn
    self.statistics = statistics
  }
}

/// An answer as far as it has come.
struct Draft: Sendable {
  private var text = ""
  private var reasoning = ""
  private var calls: [ToolCall] = []
  private(set) var reason: Event.Finish.Reason?

  mutating func add(_ event: Event) {
    text += event.text ?? ""
    reasoning += event.reasoning ?? ""
    if let call = event.toolCall { calls.append(call) }
    if let finish = event.finish { reason = finish.reason }
  }

  var message: Message {
    .assistant(
      text.isEmpty ? [] : [.text(text)], reasoning: reasoning.isEmpty ? nil : reasoning, toolCalls: calls)
  }
}

/// Numbers of an answer.
public struct Statistics: Hashable, Sendable {
  /// Positions of the prompt, those of its media included.
  public let promptTokens: Int
  /// How many of them the session already held, and did not evaluate again.
  public let reusedTokens: Int
  /// Tokens of the answer so far.
  public let generatedTokens: Int
  /// Positions of the prompt's images and sounds.
  public let mediaTokens: Int
  /// Positions that the session holds now.
  public let heldTokens: Int
  /// Bytes that it takes to hold them.
  public let cacheBytes: Int
  /// Bytes of the states of earlier positions that are kept to come back to (``SessionOptions/checkpoints``). Forks share them.
  public let checkpointBytes: Int
  /// Messages of the conversation that were left out so that it fits (``SessionOptions/keepTurns``).
  public let droppedMessages: Int
  /// How many images, sounds and frames of the prompt were encoded; the others were held by the session, or kept by the
  /// model.
  public let encodedMedia: Int
  /// Rendering, tokenizing and placing.
  public let prepareTime: Duration
  /// Image and sound encoders.
  public let encodeTime: Duration
  /// Evaluation of the prompt, up to the first token.
  public let prefillTime: Duration
  /// From the submit to the first token.
  public let firstTokenTime: Duration
  /// From the first to the last token.
  public let decodeTime: Duration

  /// Tokens a second after the first one; nil before there are two.
  public var tokensPerSecond: Double? {
    let seconds = decodeTime / .seconds(1)
    return generatedTokens > 1 && seconds > 0 ? Double(generatedTokens - 1) / seconds : nil
  }

  init(_ raw: rmlx_stats) {
    promptTokens = Int(raw.prompt_tokens)
    reusedTokens = Int(raw.reused_tokens)
    generatedTokens = Int(raw.generated_tokens)
    mediaTokens = Int(raw.media_tokens)
    heldTokens = Int(raw.held_tokens)
    cacheBytes = Int(raw.cache_bytes)
    encodedMedia = Int(raw.encoded_media)
    checkpointBytes = Int(raw.checkpoint_bytes)
    droppedMessages = Int(raw.dropped_messages)
    prepareTime = .milliseconds(raw.prepare_ms)
    encodeTime = .milliseconds(raw.encode_ms)
    prefillTime = .milliseconds(raw.prefill_ms)
    firstTokenTime = .milliseconds(raw.first_token_ms)
    decodeTime = .milliseconds(raw.decode_ms)
  }
}

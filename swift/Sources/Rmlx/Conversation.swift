import Foundation

/// A conversation with a model: it keeps what was said, answers, and runs tools.
///
///     let conversation = Conversation(model, instructions: "Be brief.")
///     print(try await conversation.respond(to: "What is in this picture? \(photo)").text)
///     print(try await conversation.respond(to: "What colour was it?").text)
///
/// A question and its answer are added to the ``prompt`` together, when the answer has ended. A question whose answer fails
/// is not added, so that the next one finds the conversation as it was. An answer that is cancelled, or whose loop is left,
/// is added as far as it came, if it had said anything.
///
/// The ``prompt`` is the whole conversation as a value, which can be saved: it is `Codable`. Another conversation goes on from
/// it. ``save(to:)`` also saves what was evaluated of it, ``fork()`` makes a second conversation that shares it, and
/// ``prewarm(_:options:)`` evaluates ahead.
///
/// Answers throw ``RmlxError``, what tools throw, and Swift's `CancellationError` when the task that waits for them is
/// cancelled. Any thread may use a conversation, for one answer at a time. ``Session`` is what is below it: it remembers nothing
/// by itself.
public final class Conversation: Sendable {
  private struct State {
    var prompt: Prompt
    /// The answer in the making.
    var turn: Turn?
  }

  /// The session that the conversation is held with.
  public let session: Session

  /// The next event of one answer; nil after the last one. Letting go of it stops the answer.
  typealias Next = @Sendable () async throws(RmlxError) -> Event?

  /// Begins an answer of the model.
  let answer: @Sendable (Prompt, GenerationOptions) -> Next
  let options: GenerationOptions
  let tools: [any ModelTool]
  let maxToolRounds: Int
  /// What is wrong with the tools, for the first answer to throw.
  let wrongTools: RmlxError?
  /// Why what had been evaluated could not be taken back (``init(_:savedAt:tools:options:maxToolRounds:sessionOptions:)``), so that
  /// the first answer evaluates all that was said; nil if it was, and for a conversation that was not saved.
  public let restoreFailure: RmlxError?
  private let state: Locked<State>

  /// Begins a conversation.
  ///
  /// - Parameters:
  ///   - model: The model.
  ///   - instructions: How it is to behave: a message of the role ``Message/Role/system``.
  ///   - tools: What it may call. Without any, calls of tools that the prompt declares are answers, and yours to run.
  ///   - options: How it answers, unless a question comes with options of its own.
  ///   - maxToolRounds: How often an answer may call tools before the model has to say something. One more round throws
  ///     ``RmlxError/Code/tooManyToolRounds``.
  ///   - sessionOptions: How the session is made.
  public convenience init(
    _ model: Model, instructions: Content? = nil, tools: [any ModelTool] = [],
    options: GenerationOptions = GenerationOptions(), maxToolRounds: Int = 8,
    sessionOptions: SessionOptions = SessionOptions()
  ) {
    self.init(
      model, from: Prompt(instructions.map { [.system($0)] } ?? []), tools: tools, options: options,
      maxToolRounds: maxToolRounds, sessionOptions: sessionOptions)
  }

  /// Goes on from a conversation that was had before, with the same model or another one.
  ///
  /// The tools that `prompt` declares are replaced by `tools`, if there are any. The other parameters are those of
  /// ``init(_:instructions:tools:options:maxToolRounds:sessionOptions:)``.
  public convenience init(
    _ model: Model, from prompt: Prompt, tools: [any ModelTool] = [], options: GenerationOptions = GenerationOptions(),
    maxToolRounds: Int = 8, sessionOptions: SessionOptions = SessionOptions()
  ) {
    self.init(
      Session(model, options: sessionOptions), from: prompt, tools: tools, options: options,
      maxToolRounds: maxToolRounds)
  }

  /// Goes on from a conversation, with a session that may have evaluated some of it: a fork, or one that was loaded.
  ///
  /// The other parameters are those of ``init(_:from:tools:options:maxToolRounds:sessionOptions:)``.
  public convenience init(
    _ session: Session, from prompt: Prompt, tools: [any ModelTool] = [],
    options: GenerationOptions = GenerationOptions(), maxToolRounds: Int = 8
  ) {
    self.init(
      session, from: prompt, tools: tools, options: options, maxToolRounds: maxToolRounds, restoreFailure: nil)
  }

  convenience init(
    _ session: Session, from prompt: Prompt, tools: [any ModelTool], options: GenerationOptions, maxToolRounds: Int,
    restoreFailure: RmlxError?
  ) {
    self.init(
      session, from: prompt, tools: tools, options: options, maxToolRounds: maxToolRounds,
      restoreFailure: restoreFailure
    ) { prompt, options in
      let events = session.generate(prompt, options).makeAsyncIterator()
      return { () async throws(RmlxError) in try await events.next() }
    }
  }

  init(
    _ session: Session, from prompt: Prompt, tools: [any ModelTool], options: GenerationOptions, maxToolRounds: Int,
    restoreFailure: RmlxError? = nil, answer: @escaping @Sendable (Prompt, GenerationOptions) -> Next
  ) {
    var prompt = prompt
    var wrongTools: RmlxError?
    do throws(RmlxError) {
      let declarations = try Self.declare(tools)
      if !declarations.isEmpty { prompt.tools = declarations }
    } catch {
      wrongTools = error
    }
    self.session = session
    self.answer = answer
    self.tools = tools
    self.options = options
    self.maxToolRounds = maxToolRounds
    self.wrongTools = wrongTools
    self.restoreFailure = restoreFailure
    state = Locked(State(prompt: prompt))
  }

  private static func declare(_ tools: [any ModelTool]) throws(RmlxError) -> [ToolDeclaration] {
    var declarations: [ToolDeclaration] = []
    var names: Set<String> = []
    for tool in tools {
      guard names.insert(tool.name).inserted else {
        throw RmlxError(.invalidArgument, "two tools are named \(tool.name)", details: ["tool": .string(tool.name)])
      }
      declarations.append(try tool.declaration)
    }
    return declarations
  }

  /// The whole conversation so far. Set it to change what was said, or to take something back.
  public var prompt: Prompt {
    get { state.withLock { $0.prompt } }
    set { state.withLock { $0.prompt = newValue } }
  }

  /// What was said so far, the instructions first.
  public var messages: [Message] { prompt.messages }

  /// Adds a message that the model is not asked to answer, such as the result of a tool that you run yourself.
  public func append(_ message: Message) {
    state.withLock { $0.prompt.append(message) }
  }

  /// Asks a question; the answer comes event by event, with the results of tools between its rounds.
  ///
  /// The sequence does nothing before it is gone through. Cancelling the task that goes through it, or leaving the loop, stops
  /// the model within a token.
  ///
  /// - Parameters:
  ///   - question: What is asked; nil to go on from the last message, to which there is no answer yet.
  ///   - options: How it is answered; nil for those of the conversation.
  public func stream(_ question: Content?, options: GenerationOptions? = nil) -> Reply {
    Reply(conversation: self, question: question, options: options ?? self.options)
  }

  /// Asks a question; the answer comes event by event.
  @_disfavoredOverload
  public func stream(_ question: String, options: GenerationOptions? = nil) -> Reply {
    stream(Content(question), options: options)
  }

  /// Asks a question, and waits for the whole answer: the one that comes after all rounds of tools.
  ///
  /// The parameters are those of `stream`.
  public func respond(to question: Content?, options: GenerationOptions? = nil) async throws -> Response {
    var draft = Draft()
    let events = stream(question, options: options).makeAsyncIterator()
    while let event = try await events.next() {
      if event.kind == .toolResult { draft = Draft() }
      draft.add(event)
    }
    return Response(draft, try session.statistics())
  }

  /// Asks a question, and waits for the whole answer.
  @_disfavoredOverload
  public func respond(to question: String, options: GenerationOptions? = nil) async throws -> Response {
    try await respond(to: Content(question), options: options)
  }

  /// Ends the answer in the making within a token, or after the tool that is running; it then ends with
  /// ``Event/Finish/Reason/cancelled``. Without one it does nothing.
  public func cancel() {
    state.withLock { $0.turn }?.cancel()
    session.cancel()
  }

  /// Stops an answer in the making, and gives the session's memory back before it returns. What was said can still be read.
  public func close() async {
    cancel()
    await session.close()
  }

  /// Makes the turn the one under way, and returns what it goes on from.
  func begin(_ turn: Turn) throws(RmlxError) -> Prompt {
    if let wrongTools { throw wrongTools }
    while true {
      let (previous, prompt) = state.withLock { state in
        if state.turn == nil { state.turn = turn }
        return (state.turn, state.prompt)
      }
      guard let previous, previous !== turn else { return prompt }
      guard previous.isLeft(for: turn) else {
        throw RmlxError(
          .busy,
          "another task's answer is in the making in this conversation: go through it to its end, or call cancel()")
      }
      previous.leave()
    }
  }

  /// Ends the turn, and adds what it has to add.
  func end(_ turn: Turn, adding messages: [Message]) {
    state.withLock { state in
      guard state.turn === turn else { return }
      state.turn = nil
      state.prompt.messages += messages
    }
  }
}

/// The answer of a ``Conversation`` to a question, event by event.
public struct Reply: AsyncSequence, Sendable {
  /// What it delivers.
  public typealias Element = Event

  let conversation: Conversation
  let question: Content?
  let options: GenerationOptions

  /// Only the text of the answer, piece by piece, of all its rounds.
  public var text: AsyncCompactMapSequence<Reply, String> { compactMap(\.text) }

  /// Asks the question, with the first call of `next`.
  public func makeAsyncIterator() -> Iterator {
    Iterator(consumer: Iterator.Consumer(Turn(conversation, question, options)))
  }

  /// Goes through one answer. Letting go of it stops the model.
  public struct Iterator: AsyncIteratorProtocol, Sendable {
    /// What it delivers.
    public typealias Element = Event

    final class Consumer: Sendable {
      let turn: Turn

      init(_ turn: Turn) {
        self.turn = turn
      }

      deinit {
        turn.leave()
      }
    }

    let consumer: Consumer

    /// The next event; nil after the last one.
    public func next() async throws -> Event? {
      try await consumer.turn.next()
    }
  }
}

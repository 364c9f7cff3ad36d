/// A question of a conversation and its answer, through all rounds of tools.
///
/// One consumer goes through it. The lock is for whoever else ends it.
final class Turn: Sendable {
  private struct Round {
    let next: Conversation.Next
    var draft = Draft()
  }

  private enum Phase {
    case new
    case running
    case over
  }

  private struct State {
    var phase = Phase.new
    var isCancelled = false
    /// The task that goes through it.
    var task: Int?
    /// What the conversation was before.
    var prompt = Prompt()
    /// The question, and whole rounds.
    var added: [Message] = []
    var rounds = 0
    var round: Round?
    /// To be delivered before anything else.
    var pending: [Event] = []
  }

  private let conversation: Conversation
  private let question: Content?
  private let options: GenerationOptions
  private let state = Locked(State())

  init(_ conversation: Conversation, _ question: Content?, _ options: GenerationOptions) {
    self.conversation = conversation
    self.question = question
    self.options = options
  }

  /// Whether nobody goes through it any more, as far as the next one can tell.
  func isLeft(for next: Turn) -> Bool {
    let task = next.state.withLock { $0.task }
    return state.withLock { $0.isCancelled || $0.phase == .over || (task != nil && $0.task == task) }
  }

  func cancel() {
    state.withLock { $0.isCancelled = true }
  }

  /// Ends it as far as it came.
  func leave() {
    let messages = state.withLock { state -> [Message]? in
      guard state.phase == .running else {
        state.phase = .over
        return nil
      }
      return Self.finish(&state)
    }
    if let messages { conversation.end(self, adding: messages) }
  }

  /// The next event; nil after the last one.
  func next() async throws -> Event? {
    let task = withUnsafeCurrentTask { $0?.hashValue }
    state.withLock { $0.task = task }
    do {
      return try await advance()
    } catch {
      if Task.isCancelled && error.isCancellation {
        leave()
        throw CancellationError()
      }
      state.withLock { state in
        state.phase = .over
        state.round = nil
      }
      conversation.end(self, adding: [])
      throw error
    }
  }

  private func advance() async throws -> Event? {
    switch state.withLock({ $0.phase }) {
    case .over: return nil
    case .new: try begin()
    case .running: break
    }
    while true {
      if let event = state.withLock({ $0.pending.isEmpty ? nil : $0.pending.removeFirst() }) { return event }
      guard let next = state.withLock({ $0.round?.next }) else { return nil }
      guard let event = try await next() else { return nil }
      let reason = state.withLock { state in
        state.round?.draft.add(event)
        return event.finish?.reason
      }
      guard let reason else { return event }
      guard reason == .toolCalls && !conversation.tools.isEmpty else { return end(with: event) }
      if let text = event.text { state.withLock { $0.pending.append(.text(text)) } }
      try await runTools()
      if state.withLock({ $0.isCancelled }) {
        leave()
        return .cancelled
      }
      startRound()
    }
  }

  private func begin() throws(RmlxError) {
    let prompt = try conversation.begin(self)
    state.withLock { state in
      state.phase = .running
      state.prompt = prompt
      if let question { state.added = [.user(question)] }
    }
    startRound()
  }

  private func startRound() {
    state.withLock { state in
      var prompt = state.prompt
      prompt.messages += state.added
      var options = options
      if state.rounds > 0 {
        // A tool that must be called has been called.
        options.toolChoice = nil
      } else if options.toolChoice?.demandsCall == true {
        // Nothing is answered in a round that has to call, and what is has its form in the next one.
        options.constraint = nil
      }
      state.round = Round(next: conversation.answer(prompt, options))
    }
  }

  /// Runs what the round has called, one after the other.
  private func runTools() async throws {
    let (message, rounds) = state.withLock { state in
      state.rounds += 1
      return (state.round?.draft.message ?? .assistant([]), state.rounds)
    }
    guard rounds <= conversation.maxToolRounds else {
      throw RmlxError(
        .tooManyToolRounds, "the model called tools in more than \(conversation.maxToolRounds) rounds for one answer",
        details: ["rounds": .number(Double(rounds))])
    }
    var results: [Message] = []
    for call in message.toolCalls {
      try Task.checkCancellation()
      if state.withLock({ $0.isCancelled }) { return }
      results.append(try await result(of: call))
    }
    state.withLock { [results] state in
      state.added += [message] + results
      state.pending += results.map(Event.toolResult)
      // What it said belongs to a whole round now.
      state.round = nil
    }
  }

  private func result(of call: ToolCall) async throws -> Message {
    guard let tool = conversation.tools.first(where: { $0.name == call.name }) else {
      let names = conversation.tools.map(\.name).joined(separator: ", ")
      return .tool(failure: "there is no tool \(call.name), there are: \(names)", for: call)
    }
    return try await tool.message(for: call)
  }

  /// Takes the event for the last one.
  private func end(with event: Event) -> Event {
    let messages = state.withLock { state in
      if event.finish?.reason == .cancelled { return Self.finish(&state) }
      let answer = state.round?.draft.message
      state.phase = .over
      state.round = nil
      return state.added + (answer.map { [$0] } ?? [])
    }
    conversation.end(self, adding: messages)
    return event
  }

  /// Ends the turn, and returns what is to be kept: an answer that has begun, with what led to it, or nothing. Calls that
  /// nobody has run are no part of it.
  private static func finish(_ state: inout State) -> [Message] {
    var answer = state.round?.draft.message ?? .assistant([])
    answer.toolCalls = []
    state.phase = .over
    state.round = nil
    return answer.text.allSatisfy(\.isWhitespace) ? [] : state.added + [answer]
  }
}

extension Event {
  fileprivate static func text(_ text: String) -> Event {
    var event = Event(.text)
    event.text = text
    return event
  }

  fileprivate static func toolResult(_ message: Message) -> Event {
    var event = Event(.toolResult)
    event.toolResult = message
    return event
  }
}

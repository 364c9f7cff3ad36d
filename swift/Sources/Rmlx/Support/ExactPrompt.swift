import CRmlx

/// A conversation as the C library has it, with the tokens of the answers in it.
struct ExactPrompt: Sendable {
  let raw: Handle
  private let messages: [Message]
  private let continuesFinalMessage: Bool

  init(_ prompt: Prompt, _ cancel: CancelFlag) throws(RmlxError) {
    self.init(try prompt.raw(cancel), prompt)
  }

  private init(_ raw: Handle, _ prompt: Prompt) {
    self.init(raw, prompt.messages, prompt.continuesFinalMessage)
  }

  private init(_ raw: Handle, _ messages: [Message], _ continuesFinalMessage: Bool) {
    self.raw = raw
    self.messages = messages
    self.continuesFinalMessage = continuesFinalMessage
  }

  /// A second one, so that each can go on.
  func copy() throws(RmlxError) -> ExactPrompt {
    var copy: OpaquePointer?
    try check { error in rmlx_prompt_copy(raw.pointer, &copy, error) }
    guard let copy else { throw RmlxError(.panic, "no prompt was made") }
    return ExactPrompt(Handle(copy) { rmlx_prompt_release($0) }, messages, continuesFinalMessage)
  }

  /// Whether a conversation begins with this one.
  func begins(_ prompt: Prompt) -> Bool {
    prompt.messages.count >= messages.count && zip(messages, prompt.messages).allSatisfy { $0.isSame(as: $1) }
  }

  /// The whole conversation, which this one begins. This one is used up.
  func goingOn(to prompt: Prompt, _ cancel: CancelFlag) throws(RmlxError) -> ExactPrompt {
    try prompt.write(to: raw, from: messages.count, cancel)
    return ExactPrompt(raw, prompt)
  }

  /// The same with the session's last answer; nil if the answer cannot stay as it was generated.
  func answered(by message: Message, of session: Handle) -> ExactPrompt? {
    // An answer that continues a message is no message of its own.
    guard !continuesFinalMessage else { return nil }
    guard rmlx_prompt_add_answer(raw.pointer, session.pointer, nil) == RMLX_OK else { return nil }
    return ExactPrompt(raw, Prompt(messages + [message]))
  }
}

extension Message {
  /// Whether both say the same with the very same media: one that was made anew may be of a file that has changed.
  fileprivate func isSame(as other: Message) -> Bool {
    self == other && zip(media, other.media).allSatisfy { $0 === $1 }
  }

  private var media: [MediaSource] {
    content.parts.compactMap { part in
      if case .media(let source) = part.kind { source } else { nil }
    }
  }
}

import Foundation

extension Conversation {
  /// Makes a second conversation that has been through the same: from here on each goes its own way, also at the same time.
  ///
  /// What was evaluated is shared (``Session/fork()``).
  ///
  /// - Throws: ``RmlxError/Code/busy`` while an answer is in the making.
  public func fork() async throws(RmlxError) -> Conversation {
    let prompt = prompt
    return Conversation(
      try await session.fork(), from: prompt, tools: tools, options: options, maxToolRounds: maxToolRounds)
  }

  /// Evaluates what was said so far without answering it, and the beginning of a question if there is one, so that the next answer
  /// comes sooner: while the user writes, or with the instructions and tools when the app has begun.
  ///
  /// It returns when that is done, or when a question is asked, which does not wait for it.
  public func prewarm(_ question: Content? = nil, options: GenerationOptions? = nil) async throws(RmlxError) {
    if let wrongTools { throw wrongTools }
    var prompt = prompt
    if let question { prompt.append(.user(question)) }
    // Of nothing there is nothing to evaluate, and templates may refuse it.
    guard !prompt.messages.isEmpty || !prompt.tokens.isEmpty else { return }
    try await session.prewarm(prompt, options: options ?? self.options)
  }

  /// Writes the conversation to a folder, which is made if there is none: its ``prompt``, and what the session has evaluated of
  /// it, so that nothing of it is evaluated again where it is gone on from.
  ///
  /// Media are written as what they were made of. The folder says what was said to whoever can read it.
  ///
  /// - Throws: ``RmlxError/Code/busy`` while an answer is in the making, ``RmlxError/Code/io``,
  ///   ``RmlxError/Code/invalidMedia`` for a medium that could not be made.
  public func save(to folder: URL) async throws(RmlxError) {
    let prompt = prompt
    try await offPool(sharedQueue) { () throws(RmlxError) in
      try Self.writing(folder) {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      }
    }
    // Whichever of the two is older, the session looks for itself what of it is still so.
    try await session.save(to: Self.evaluated(in: folder))
    try await offPool(sharedQueue) { () throws(RmlxError) in
      try Self.writing(folder) { try JSONEncoder().encode(prompt).write(to: Self.said(in: folder), options: .atomic) }
    }
  }

  /// Goes on from a conversation that ``save(to:)`` wrote.
  ///
  /// What was evaluated is taken back where it can be: with the same model and chat template. Otherwise ``restoreFailure`` says why,
  /// and the first answer evaluates all that was said. The other parameters are those of
  /// ``init(_:instructions:tools:options:maxToolRounds:sessionOptions:)``.
  ///
  /// - Throws: ``RmlxError/Code/notFound`` and ``RmlxError/Code/invalidSave`` if what was said cannot be read.
  public convenience init(
    _ model: Model, savedAt folder: URL, tools: [any ModelTool] = [], options: GenerationOptions = GenerationOptions(),
    maxToolRounds: Int = 8, sessionOptions: SessionOptions = SessionOptions()
  ) async throws(RmlxError) {
    let prompt = try await offPool(sharedQueue) { () throws(RmlxError) in try Self.readPrompt(in: folder) }
    let (session, failure): (Session, RmlxError?)
    do throws(RmlxError) {
      session = try await Session(model, savedAt: Self.evaluated(in: folder), options: sessionOptions)
      failure = nil
    } catch {
      guard [.notFound, .io, .invalidSave, .contextFull].contains(error.code) else { throw error }
      session = Session(model, options: sessionOptions)
      failure = error
    }
    self.init(
      session, from: prompt, tools: tools, options: options, maxToolRounds: maxToolRounds, restoreFailure: failure)
  }

  private static func said(in folder: URL) -> URL { folder.appendingPathComponent("prompt.json") }

  private static func evaluated(in folder: URL) -> URL { folder.appendingPathComponent("session.rmlx") }

  private static func readPrompt(in folder: URL) throws(RmlxError) -> Prompt {
    let file = said(in: folder)
    let data: Data
    do {
      data = try Data(contentsOf: file)
    } catch {
      let missing = (error as NSError).code == CocoaError.fileReadNoSuchFile.rawValue
      throw RmlxError(
        missing ? .notFound : .io, "cannot read \(file.path): \(error.localizedDescription)",
        details: ["path": .string(file.path)])
    }
    do {
      return try JSONDecoder().decode(Prompt.self, from: data)
    } catch {
      throw RmlxError(
        .invalidSave, "\(file.path) is no saved conversation: \(explain(error))", details: ["path": .string(file.path)])
    }
  }

  private static func writing(_ folder: URL, _ write: () throws -> Void) throws(RmlxError) {
    do {
      try write()
    } catch EncodingError.invalidValue(_, let context) {
      throw (context.underlyingError as? RmlxError) ?? RmlxError(.invalidArgument, context.debugDescription)
    } catch {
      throw RmlxError(
        .io, "cannot write to \(folder.path): \(error.localizedDescription)", details: ["path": .string(folder.path)])
    }
  }
}

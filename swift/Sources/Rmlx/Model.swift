import CRmlx
import Foundation

/// A loaded model: weights, tokenizer and chat template of one snapshot folder.
///
/// Any number of sessions share it, on any threads. The memory is given back when the last session that uses it and the
/// last reference to it are gone, or have been closed.
public final class Model: Sendable {
  private let held: Locked<Handle?>

  private init(_ handle: Handle) {
    held = Locked(handle)
  }

  /// Loads a snapshot: a folder as Hugging Face and mlx-community publish them.
  ///
  /// The weights are read on a thread of their own. Cancelling the task ends the load, which then throws
  /// ``RmlxError/Code/cancelled``.
  ///
  /// - Parameters:
  ///   - folder: The folder of `config.json`, the `*.safetensors` files, `tokenizer.json` and the chat template.
  ///   - options: Where the model runs, and limits.
  ///   - progress: Is told on the main actor how far the load is, from 0 to 1.
  /// - Throws: ``RmlxError`` with the code ``RmlxError/Code/notFound``, ``RmlxError/Code/invalidSnapshot``,
  ///   ``RmlxError/Code/unsupported``, ``RmlxError/Code/outOfMemory`` or ``RmlxError/Code/cancelled``.
  public static func load(
    at folder: URL,
    options: LoadOptions = LoadOptions(),
    progress: (@MainActor @Sendable (Double) -> Void)? = nil
  ) async throws(RmlxError) -> Model {
    let path = try path(of: folder)
    return try await cancellable { (cancel) throws(RmlxError) in
      try options.withRaw { (options) throws(RmlxError) in try Model(load(path, options, cancel, progress)) }
    }
  }

  private static func load(
    _ path: String, _ raw: OpaquePointer, _ cancel: CancelFlag, _ progress: (@MainActor @Sendable (Double) -> Void)?
  ) throws(RmlxError) -> Handle {
    try check { error in rmlx_load_options_set_cancel(raw, cancel.pointer, error) }
    if let progress {
      let box = Unmanaged.passRetained(
        Callback<Double> { fraction in
          // In order, which tasks would not be.
          DispatchQueue.main.async { MainActor.assumeIsolated { progress(fraction) } }
        })
      do {
        try check { error in
          rmlx_load_options_set_progress(
            raw, { Callback<Double>.from($1)?.call(Double($0)) }, box.toOpaque(),
            { $0.map { Unmanaged<Callback<Double>>.fromOpaque($0).release() } }, error)
        }
      } catch {
        box.release()
        throw error
      }
    }
    var model: OpaquePointer?
    try check { error in rmlx_model_load(path, raw, &model, error) }
    guard let model else { throw RmlxError(.panic, "no model was made") }
    return Handle(model) { rmlx_model_release($0) }
  }

  /// Tells what a snapshot folder holds, without reading a weight.
  ///
  /// - Throws: ``RmlxError`` with the code ``RmlxError/Code/notFound``, ``RmlxError/Code/invalidSnapshot`` or
  ///   ``RmlxError/Code/unsupported``.
  public static func inspect(at folder: URL) async throws(RmlxError) -> ModelInfo {
    let path = try path(of: folder)
    return try await offPool(sharedQueue) { () throws(RmlxError) in
      try ModelInfo { out, error in rmlx_model_inspect(path, out, error) }
    }
  }

  /// Gives up this reference to the weights. Sessions that use the model keep it until they end; every other use of this
  /// object throws ``RmlxError/Code/closed`` from now on.
  public func close() {
    held.withLock { $0 = nil }
  }

  /// What the model is, and how it was loaded.
  public func info() throws(RmlxError) -> ModelInfo {
    let model = try handle()
    return try ModelInfo { out, error in rmlx_model_info_json(model.pointer, out, error) }
  }

  /// Turns a text into token ids. Nothing is added: no beginning of sequence, no chat template.
  ///
  /// - Parameters:
  ///   - text: The text.
  ///   - parseSpecial: Whether spellings of special tokens, such as `<bos>`, become those tokens.
  public func tokenize(_ text: String, parseSpecial: Bool = false) throws(RmlxError) -> [TokenID] {
    let model = try handle()
    return try readArray(zero: 0) { out, capacity, count, error in
      withUTF8(text) { rmlx_model_tokenize(model.pointer, $0, $1, parseSpecial, out, capacity, count, error) }
    }
  }

  /// Turns token ids into text. Bytes that make no whole character become U+FFFD.
  ///
  /// - Parameters:
  ///   - tokens: The token ids.
  ///   - skipSpecial: Whether special tokens are left out; otherwise they are spelled out.
  public func detokenize(_ tokens: [TokenID], skipSpecial: Bool = false) throws(RmlxError) -> String {
    let model = try handle()
    return try text { out, size, error in
      rmlx_model_detokenize(model.pointer, tokens, tokens.count, skipSpecial, out, size, error)
    }
  }

  /// Shows the text that the model's own chat template makes of a conversation, if it is answered with these options.
  public func render(
    _ prompt: Prompt, _ options: GenerationOptions = GenerationOptions()
  ) async throws(RmlxError) -> String {
    try await withRaw(prompt, options) { (model, prompt, options) throws(RmlxError) in
      try text { out, size, error in rmlx_model_render_prompt(model, prompt, options, out, size, error) }
    }
  }

  /// Counts the positions that a conversation takes in the context, those of its media included, if it is answered with
  /// these options.
  public func countTokens(
    _ prompt: Prompt, _ options: GenerationOptions = GenerationOptions()
  ) async throws(RmlxError) -> Int {
    try await withRaw(prompt, options) { (model, prompt, options) throws(RmlxError) in
      var count = 0
      try check { error in rmlx_model_count_tokens(model, prompt, options, &count, error) }
      return count
    }
  }

  private func withRaw<Value: Sendable>(
    _ prompt: Prompt, _ options: GenerationOptions,
    _ use: @escaping @Sendable (OpaquePointer, OpaquePointer, OpaquePointer) throws(RmlxError) -> Value
  ) async throws(RmlxError) -> Value {
    let model = try handle()
    return try await cancellable { (cancel) throws(RmlxError) in
      let prompt = try prompt.raw(cancel)
      return try options.withRaw { (options) throws(RmlxError) in try use(model.pointer, prompt.pointer, options) }
    }
  }

  /// Asks the model for the capital of France and judges the answer: a quick look whether a snapshot works at all on this
  /// machine. A model that answers wrongly is no error.
  public func probe() async throws(RmlxError) -> JSONValue {
    let model = try handle()
    return try await offPool(sharedQueue) { () throws(RmlxError) in
      try json { out, error in rmlx_probe(model.pointer, out, error) }
    }
  }

  func handle() throws(RmlxError) -> Handle {
    guard let handle = held.withLock({ $0 }) else { throw .closed }
    return handle
  }

  static func path(of folder: URL) throws(RmlxError) -> String {
    guard folder.isFileURL else {
      throw RmlxError(.invalidArgument, "\(folder) is not the URL of a folder: download the snapshot first")
    }
    return folder.path
  }
}

/// What a snapshot holds.
public struct ModelInfo: Hashable, Sendable {
  /// A kind of thing that a model takes in.
  public struct Modality: RawRepresentable, Hashable, Sendable {
    /// The name that the C library gives it.
    public let rawValue: String

    /// Makes a modality of its name.
    public init(rawValue: String) {
      self.rawValue = rawValue
    }

    /// Text.
    public static let text = Modality(rawValue: "text")
    /// Images.
    public static let image = Modality(rawValue: "image")
    /// Sounds.
    public static let audio = Modality(rawValue: "audio")
    /// Videos, as images and their times.
    public static let video = Modality(rawValue: "video")
  }

  /// The architecture, as `config.json` names it.
  public let architecture: String
  /// What the model takes in.
  public let modalities: Set<Modality>
  /// The bytes of the weights' files.
  public let bytes: Int
  /// How many numbers the model has learned.
  public let parameters: Int
  /// The most tokens that a session can hold; prompt, media and answer together.
  public let contextLength: Int?
  /// Sentences for people about what of the folder is not used: towers without weights, files that belong to something else.
  public let notes: [String]
  /// Everything that is known, for what has no property here.
  public let json: JSONValue

  init(
    _ make: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>, UnsafeMutablePointer<OpaquePointer?>) -> rmlx_status
  ) throws(RmlxError) {
    json = try Rmlx.json(make)
    architecture = json["architecture"]?.string ?? ""
    modalities = Set((json["modalities"]?.array ?? []).compactMap { $0.string.map(Modality.init) })
    bytes = Int(json["bytes"]?.number ?? 0)
    parameters = Int(json["parameters"]?.number ?? 0)
    contextLength = json["context_length"]?.number.map { Int($0) }
    notes = (json["notes"]?.array ?? []).compactMap(\.string)
  }
}

private func json(
  _ make: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>, UnsafeMutablePointer<OpaquePointer?>) -> rmlx_status
) throws(RmlxError) -> JSONValue {
  let text = try text { out, size, error in make(out, error) }
  guard let value = JSONValue(json: text) else { throw RmlxError(.panic, "the library's JSON cannot be read: \(text)") }
  return value
}

/// Takes over the text that the call makes.
private func text(
  _ make: (
    UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>, UnsafeMutablePointer<Int>, UnsafeMutablePointer<OpaquePointer?>
  ) -> rmlx_status
) throws(RmlxError) -> String {
  var text: UnsafeMutablePointer<CChar>?
  var size = -1
  try check { error in make(&text, &size, error) }
  guard let text else { return "" }
  defer { rmlx_string_release(text) }
  return size < 0 ? String(cString: text) : string(text, size: size)
}

/// A function that C calls back with a value.
final class Callback<Value>: Sendable {
  let call: @Sendable (Value) -> Void

  init(_ call: @escaping @Sendable (Value) -> Void) {
    self.call = call
  }

  static func from(_ userData: UnsafeMutableRawPointer?) -> Callback? {
    userData.map { Unmanaged<Callback>.fromOpaque($0).takeUnretainedValue() }
  }
}

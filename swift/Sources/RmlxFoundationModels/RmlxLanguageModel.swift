// The second version of the framework, of iOS 27 and macOS 27, is the first that takes models of others.
#if canImport(FoundationModels, _version: 2)
  import FoundationModels
  import Rmlx

  /// A model of rmlx behind FoundationModels' `LanguageModelSession`.
  ///
  ///     let model = try await Model.load(at: folder)
  ///     let session = LanguageModelSession(model: try RmlxLanguageModel(model), tools: [GetTime()])
  ///     print(try await session.respond(to: "What time is it in Rome?").content)
  ///
  /// Tools, images, reasoning and streamed answers go through the session, as with the system's own model. The session's
  /// history is what the model's chat template makes of its transcript; what an answer before has evaluated is not
  /// evaluated again.
  ///
  /// An answer that is to have the form of a type is held to its schema, token by token, and a tool is called where the
  /// options require it. A schema that cannot be followed throws `LanguageModelError.unsupportedGenerationGuide`, and a model whose
  /// family marks no calls of tools `LanguageModelError.unsupportedCapability`.
  @available(iOS 27.0, macOS 27.0, *)
  public struct RmlxLanguageModel: LanguageModel {
    let model: Rmlx.Model

    /// What the model is said to be able to do. The session refuses the rest before the model is asked.
    public let capabilities: LanguageModelCapabilities

    /// Puts a loaded model behind a session.
    ///
    /// - Parameters:
    ///   - model: The model. Whoever holds this holds it.
    ///   - capabilities: What the model can do. Without them it is images if the model sees, and all else: which models call
    ///     tools and reason is a matter of their chat templates.
    /// - Throws: `RmlxError` of a model that has been closed.
    public init(
      _ model: Rmlx.Model, capabilities: [LanguageModelCapabilities.Capability]? = nil
    ) throws(RmlxError) {
      self.model = model
      let sees = try model.info().modalities.contains(.image)
      self.capabilities = LanguageModelCapabilities(
        capabilities ?? [.toolCalling, .guidedGeneration, .reasoning] + (sees ? [.vision] : []))
    }

    /// What the session makes an executor of: the model.
    public var executorConfiguration: Executor.Configuration {
      Executor.Configuration(model: model)
    }
  }
#endif

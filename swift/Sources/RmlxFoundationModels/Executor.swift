#if canImport(FoundationModels, _version: 2)
  import Foundation
  import FoundationModels
  import Rmlx

  @available(iOS 27.0, macOS 27.0, *)
  extension RmlxLanguageModel {
    /// Answers a session's requests.
    public struct Executor: LanguageModelExecutor {
      /// The models that it answers for.
      public typealias Model = RmlxLanguageModel

      /// Which model; sessions share the executor of one.
      public struct Configuration: Hashable, Sendable {
        let model: Rmlx.Model

        /// Whether both are of the same loaded model.
        public static func == (one: Self, other: Self) -> Bool { one.model === other.model }

        /// Hashes which model it is.
        public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(model)) }
      }

      private let sessions: Sessions

      /// Makes an executor, which sets nothing up.
      public init(configuration: Configuration) throws {
        sessions = Sessions(configuration.model)
      }

      /// Answers a request. Cancelling the task that waits for it stops the model within a token.
      ///
      /// - Throws: `LanguageModelError` where it has a case for the failure, `CancellationError` when the task is
      ///   cancelled, and `RmlxError`.
      public func respond(
        to request: LanguageModelExecutorGenerationRequest, model: RmlxLanguageModel,
        streamingInto channel: LanguageModelExecutorGenerationChannel
      ) async throws {
        let session = await sessions.take()
        do {
          let prompt = try Rmlx.Prompt(request, of: model)
          let stream = Stream(channel)
          for try await event in session.generate(prompt, try Rmlx.GenerationOptions(request)) {
            try await stream.send(event)
          }
          await stream.sendUsage(try session.statistics())
          await sessions.putBack(session)
        } catch {
          await sessions.putBack(session)
          throw translated(error, request)
        }
      }
    }
  }

  /// Sessions that no request uses. What the last one has evaluated is there for the next.
  private actor Sessions {
    private let model: Rmlx.Model
    private var idle: Session?

    init(_ model: Rmlx.Model) {
      self.model = model
    }

    func take() -> Session {
      defer { idle = nil }
      return idle ?? Session(model)
    }

    func putBack(_ session: Session) {
      idle = session
    }
  }

  /// Where an answer's events go: text, thoughts and calls each have an entry of the transcript.
  @available(iOS 27.0, macOS 27.0, *)
  private final class Stream {
    private let channel: LanguageModelExecutorGenerationChannel
    private let (response, reasoning, calls) = (UUID().uuidString, UUID().uuidString, UUID().uuidString)
    /// Tokens whose text is not whole yet.
    private var tokens = 0
    private var reasoningTokens = 0
    private var hasCalls = false

    init(_ channel: LanguageModelExecutorGenerationChannel) {
      self.channel = channel
    }

    func send(_ event: Event) async throws {
      if event.token != nil {
        tokens += 1
        if event.kind == .reasoning { reasoningTokens += 1 }
      }
      if let text = event.text {
        await channel.send(.response(entryID: response, action: .appendText(text, tokenCount: take())))
      }
      if let thought = event.reasoning {
        await channel.send(.reasoning(entryID: reasoning, action: .appendText(thought, tokenCount: take())))
      }
      if let call = event.toolCall {
        hasCalls = true
        await channel.send(
          .toolCalls(
            entryID: calls,
            action: .toolCall(
              id: call.id ?? UUID().uuidString, name: call.name,
              action: .appendArguments(call.arguments, tokenCount: take()))))
      }
      if event.finish?.reason == .contextFull {
        throw RmlxError(.contextFull, "the context was full before the answer was complete")
      }
    }

    func sendUsage(_ statistics: Statistics) async {
      let input = LanguageModelExecutorGenerationChannel.Usage.Input(
        totalTokenCount: statistics.promptTokens, cachedTokenCount: statistics.reusedTokens)
      let output = LanguageModelExecutorGenerationChannel.Usage.Output(
        totalTokenCount: statistics.generatedTokens, reasoningTokenCount: reasoningTokens)
      await channel.send(
        hasCalls
          ? .toolCalls(entryID: calls, action: .updateUsage(input: input, output: output))
          : .response(entryID: response, action: .updateUsage(input: input, output: output)))
    }

    private func take() -> Int {
      defer { tokens = 0 }
      return tokens
    }
  }
#endif

// Two names are in FoundationModels and in Rmlx, and a file that imports both says which one it means.

import Foundation
import FoundationModels
import Rmlx
import RmlxFoundationModels

@available(iOS 27.0, macOS 27.0, *)
func ask(_ folder: URL) async throws -> String {
  let model = try await Model.load(at: folder)
  let session = LanguageModelSession(model: try RmlxLanguageModel(model), instructions: "Be brief.")
  let options = FoundationModels.GenerationOptions(maximumResponseTokens: 100, toolCallingMode: .allowed)
  let question = FoundationModels.Prompt("What is the capital of France?")
  let theirs = try await session.respond(to: question, options: options).content

  // The same without the session of FoundationModels.
  let prompt: Rmlx.Prompt = "What is the capital of France?"
  let ours = try await Session(model).respond(to: prompt, options: Rmlx.GenerationOptions(maxTokens: 100)).text
  return theirs + ours
}

// A file that says once which of two names it means, by what it imports.

import FoundationModels
import Rmlx
import RmlxFoundationModels

import struct Rmlx.GenerationOptions
import struct Rmlx.Prompt

func asked(_ text: String) -> Prompt {
  var prompt: Prompt = [.system("Be brief.")]
  prompt.append(.user(text))
  return prompt
}

func answered(_ prompt: Prompt, by model: Model) async throws -> [Message] {
  let conversation = Conversation(model, from: prompt, options: GenerationOptions(maxTokens: 100, temperature: 0))
  let response: Response = try await conversation.respond(to: nil)
  let event: Event? = nil
  return conversation.messages + [response.message] + (event?.toolResult.map { [$0] } ?? [])
}

// An app that says once for all of its files which of two names it means.

import FoundationModels
import Rmlx

typealias Prompt = Rmlx.Prompt
typealias GenerationOptions = Rmlx.GenerationOptions

let prompt: Prompt = [.user("Hello")]
let options = GenerationOptions(maxTokens: 100)

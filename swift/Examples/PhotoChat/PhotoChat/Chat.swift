import Foundation
import Observation
import Rmlx

/// The model, the conversation, and the answer in the making.
@MainActor @Observable
final class Chat {
  enum Phase: Equatable {
    case empty
    case loading(Double)
    case ready
    case answering
  }

  struct Entry: Identifiable {
    let id = UUID()
    let isQuestion: Bool
    var text: String
  }

  private(set) var phase = Phase.empty
  private(set) var entries: [Entry] = []
  private(set) var photo: Data?
  private(set) var speed: Double?
  var failure: String?

  private let lifecycle = AppLifecycle()
  private var session: Session?
  private var image: ImageInput?
  private var prompt = Prompt()
  private var work: Task<Void, Never>?

  var isBusy: Bool {
    switch phase {
    case .loading, .answering: true
    case .empty, .ready: false
    }
  }

  /// Loads the model in a folder that the user has chosen.
  func load(_ folder: URL) {
    stop()
    phase = .loading(0)
    work = Task {
      let isScoped = folder.startAccessingSecurityScopedResource()
      defer { if isScoped { folder.stopAccessingSecurityScopedResource() } }
      do {
        // The old model's memory goes first: two may not fit.
        await session?.close()
        session = nil
        let model = try await Model.load(at: folder) { fraction in
          Task { @MainActor in self.show(fraction) }
        }
        let session = Session(model)
        lifecycle.watch(session)
        self.session = session
        startAnew()
        phase = .ready
      } catch {
        phase = .empty
        show(error)
      }
    }
  }

  /// Begins a conversation about a photo.
  func pick(_ data: Data) {
    stop()
    photo = data
    image = ImageInput(data: data)
    startAnew()
  }

  /// Asks, and shows the answer while it is being made.
  func ask(_ question: String) {
    guard let session, !isBusy else { return }
    // The photo belongs to the first question about it.
    if prompt.messages.isEmpty, let image {
      prompt.append(.user("\(image)\(question)"))
    } else {
      prompt.append(.user("\(question)"))
    }
    entries.append(Entry(isQuestion: true, text: question))
    entries.append(Entry(isQuestion: false, text: ""))
    phase = .answering
    let asked = prompt
    work = Task {
      do {
        for try await text in session.generate(asked, GenerationOptions(maxTokens: 500)).text {
          entries[entries.count - 1].text += text
        }
      } catch {
        show(error)
      }
      speed = try? session.statistics().tokensPerSecond
      prompt.append(.assistant(Content(entries.last?.text ?? "")))
      phase = .ready
    }
  }

  /// Stops the answer in the making, or the load.
  func stop() {
    work?.cancel()
  }

  private func startAnew() {
    prompt = Prompt()
    entries = []
    speed = nil
  }

  private func show(_ fraction: Double) {
    if case .loading = phase { phase = .loading(fraction) }
  }

  private func show(_ error: any Error) {
    if (error as? RmlxError)?.code == .cancelled { return }
    failure = error.localizedDescription
  }
}

import Foundation
import Observation
import Rmlx

/// The model, the conversation, and the answer in the making.
///
/// Photos, questions and models may come at any time. Each load, each photo and each answer has a number of its own, and one
/// that is not the latest of its kind any more changes nothing when it ends.
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
  /// What has been asked and answered. A question is in it when it has its answer.
  private var prompt = Prompt()

  @ObservationIgnored private var loading = Work()
  @ObservationIgnored private var picking = Work()
  @ObservationIgnored private var answering = Work()

  var isBusy: Bool {
    switch phase {
    case .loading, .answering: true
    case .empty, .ready: false
    }
  }

  /// Loads the model in a folder that the user has chosen.
  func load(_ folder: URL) {
    let unfinished = answering.end()
    startAnew()
    phase = .loading(0)
    loading.begin { number, before in
      // The old model's memory goes first: two may not fit.
      await before?.value
      await unfinished?.value
      await self.session?.close()
      self.session = nil
      await self.load(folder, number)
    }
  }

  /// Begins a conversation about a photo. A model that is being loaded is loaded on; an answer in the making is dropped.
  func pick(_ data: Data) {
    picking.end()
    show(data)
  }

  /// Begins a conversation about a photo that has to be read first; of several, the one that was picked last counts. Nil for
  /// a photo that cannot be read.
  func pick(reading read: @escaping @MainActor () async throws -> Data?) {
    picking.begin { number, _ in
      do {
        let data = try await read()
        guard self.picking.isLatest(number) else { return }
        guard let data else { return self.failure = "The photo cannot be read." }
        self.show(data)
      } catch {
        if self.picking.isLatest(number) { self.show(error) }
      }
    }
  }

  /// Asks, and shows the answer while it is being made.
  func ask(_ question: String) {
    guard let session, phase == .ready else { return }
    var asked = prompt
    // The photo belongs to the first question about it.
    if asked.messages.isEmpty, let image {
      asked.append(.user("\(image)\(question)"))
    } else {
      asked.append(.user("\(question)"))
    }
    entries.append(Entry(isQuestion: true, text: question))
    entries.append(Entry(isQuestion: false, text: ""))
    phase = .answering
    answering.begin { number, before in
      // A session makes one answer at a time, and one that was dropped may still be ending.
      await before?.value
      await self.answer(asked, session, number)
    }
  }

  /// Stops the answer in the making, or the load.
  func stop() {
    if phase == .answering { answering.cancel() } else { loading.cancel() }
  }

  private func load(_ folder: URL, _ number: Int) async {
    let isScoped = folder.startAccessingSecurityScopedResource()
    defer { if isScoped { folder.stopAccessingSecurityScopedResource() } }
    do {
      let model = try await Model.load(at: folder) { fraction in
        Task { @MainActor in self.show(fraction, number) }
      }
      guard loading.isLatest(number) else { return }
      let session = Session(model)
      lifecycle.watch(session)
      self.session = session
      phase = .ready
    } catch {
      guard loading.isLatest(number) else { return }
      phase = .empty
      show(error)
    }
  }

  private func answer(_ asked: Prompt, _ session: Session, _ number: Int) async {
    var (said, problem) = ("", nil as (any Error)?)
    do {
      for try await text in session.generate(asked, GenerationOptions(maxTokens: 500)).text {
        guard answering.isLatest(number) else { return }
        said += text
        entries[entries.count - 1].text = said
      }
    } catch {
      problem = error
    }
    guard answering.isLatest(number) else { return }
    if said.isEmpty || problem.map(isFailure) == true {
      // The conversation stays as it was before the question: whatever was wrong with it, the next one may be answered.
      entries.removeLast(2)
      if let problem { dropPhoto(for: problem) } else { failure = "The model said nothing." }
    } else {
      prompt = asked
      prompt.append(.assistant(Content(said)))
    }
    speed = try? session.statistics().tokensPerSecond
    phase = .ready
    if let problem { show(problem) }
  }

  /// A photo that cannot be shown to the model would fail every question.
  private func dropPhoto(for problem: any Error) {
    let code = (problem as? RmlxError)?.code
    guard prompt.messages.isEmpty, code == .invalidMedia || code == .unsupported else { return }
    (photo, image) = (nil, nil)
  }

  private func show(_ data: Data) {
    answering.end()
    if phase == .answering { phase = .ready }
    photo = data
    image = ImageInput(data: data)
    startAnew()
  }

  private func startAnew() {
    prompt = Prompt()
    entries = []
    speed = nil
  }

  private func show(_ fraction: Double, _ number: Int) {
    if loading.isLatest(number), case .loading = phase { phase = .loading(fraction) }
  }

  private func show(_ error: any Error) {
    if isFailure(error) { failure = error.localizedDescription }
  }

  private func isFailure(_ error: any Error) -> Bool {
    !(error is CancellationError) && (error as? RmlxError)?.code != .cancelled
  }
}

/// Tasks of one kind, of which the latest counts.
@MainActor
private struct Work {
  private var number = 0
  private var task: Task<Void, Never>?

  /// Cancels the task before and begins one, which is given its number, and the task before to wait for.
  mutating func begin(_ body: @escaping @MainActor (Int, Task<Void, Never>?) async -> Void) {
    let before = end()
    let number = number
    task = Task { await body(number, before) }
  }

  /// Cancels the task, which then counts no more.
  @discardableResult
  mutating func end() -> Task<Void, Never>? {
    number += 1
    task?.cancel()
    return task
  }

  /// Cancels the task; it still tells how it ended.
  func cancel() {
    task?.cancel()
  }

  func isLatest(_ number: Int) -> Bool {
    self.number == number
  }
}

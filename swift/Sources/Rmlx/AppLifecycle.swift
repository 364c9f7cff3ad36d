import Foundation

#if canImport(UIKit) && !os(watchOS)
  import UIKit
#elseif canImport(AppKit)
  import AppKit
#endif

/// Keeps the library in step with the app.
///
/// When the system is short of memory, memory that is only kept to be used again is given back. When the app goes to the
/// background, where iOS ends an app that uses the GPU, all work is paused first, and goes on when it comes back; on a Mac
/// the same happens around sleep.
///
/// Make one and keep it for as long as the app runs. It holds no session.
///
///     let lifecycle = AppLifecycle()
///
/// Answers in the making wait meanwhile, and so do loads; a new answer throws ``RmlxError/Code/suspended``. A session that
/// is watched is stopped instead, for answers that nobody wants any more when the app comes back:
///
///     lifecycle.watch(session)
///
/// It listens to UIKit's notifications, or to AppKit's and to the system's memory pressure on a Mac. Elsewhere, call
/// ``memoryIsShort()``, ``enteredBackground()`` and ``entersForeground()`` yourself.
public final class AppLifecycle: Sendable {
  private struct Watched {
    weak var session: Session?
  }

  /// How long the work that is running may take to end: iOS gives an app some five seconds.
  private static let patience: Duration = .seconds(4)

  private let sessions = Locked<[Watched]>([])
  private let stopListening = Locked<[() -> Void]>([])

  /// Begins to listen.
  public init() {
    listen()
  }

  deinit {
    stopListening.withLock { stops in stops.forEach { $0() } }
  }

  /// Stops this session's answers when the app goes to the background.
  public func watch(_ session: Session) {
    sessions.withLock { sessions in
      sessions.removeAll { $0.session == nil }
      sessions.append(Watched(session: session))
    }
  }

  /// Gives memory that is only kept to be used again back to the system. Does not wait.
  public func memoryIsShort() {
    // There is nobody to tell of a failure, and nothing depends on it.
    sharedQueue.async { try? Memory.trim() }
  }

  /// Stops the answers of the watched sessions, pauses all other work, and gives memory back. Waits until no work is in
  /// flight, for some seconds at most: after them it is paused as soon as it has ended.
  ///
  /// - Returns: Whether no work is in flight.
  @discardableResult
  public func enteredBackground() -> Bool {
    stopWatched()
    defer { memoryIsShort() }
    return (try? Library.suspend(deadline: Self.patience)) != nil
  }

  /// Lets the work that was paused go on.
  public func entersForeground() {
    try? Library.resume()
  }

  /// Stops the answers of the watched sessions.
  func stopWatched() {
    sessions.withLock { $0.compactMap(\.session) }.forEach { $0.cancel() }
  }

  #if canImport(UIKit) && !os(watchOS)
    private func listen() {
      on(UIApplication.didReceiveMemoryWarningNotification) { $0.memoryIsShort() }
      on(UIApplication.didEnterBackgroundNotification) { lifecycle in
        // The system gives the app this time, and the notification is not over before the work is.
        MainActor.assumeIsolated {
          let assertion = BackgroundAssertion()
          if lifecycle.enteredBackground() { return assertion.end() }
          // Work that outlasts the notification has the rest of the time that the system gives.
          sharedQueue.async {
            try? Library.suspend(deadline: .seconds(60))
            DispatchQueue.main.async { MainActor.assumeIsolated { assertion.end() } }
          }
        }
      }
      on(UIApplication.willEnterForegroundNotification) { $0.entersForeground() }
    }
  #elseif canImport(AppKit)
    private func listen() {
      on(NSApplication.willTerminateNotification) { $0.stopWatched() }
      let workspace = NSWorkspace.shared.notificationCenter
      on(NSWorkspace.willSleepNotification, from: workspace) { $0.enteredBackground() }
      on(NSWorkspace.didWakeNotification, from: workspace) { $0.entersForeground() }
      let pressure = DispatchSource.makeMemoryPressureSource(eventMask: [.warning, .critical], queue: sharedQueue)
      pressure.setEventHandler { [weak self] in self?.memoryIsShort() }
      pressure.activate()
      stopListening.withLock { $0.append { pressure.cancel() } }
    }
  #else
    private func listen() {}
  #endif

  #if canImport(UIKit) || canImport(AppKit)
    private func on(
      _ name: Notification.Name, from center: NotificationCenter = .default,
      _ act: @escaping @Sendable (AppLifecycle) -> Void
    ) {
      let observer = center.addObserver(forName: name, object: nil, queue: nil) { [weak self] _ in
        if let self { act(self) }
      }
      stopListening.withLock { $0.append { center.removeObserver(observer) } }
    }
  #endif
}

#if canImport(UIKit) && !os(watchOS)
  /// Keeps the system from pausing the app, for as long as it lets itself be kept.
  @MainActor
  private final class BackgroundAssertion {
    private var task: UIBackgroundTaskIdentifier?

    init() {
      task = UIApplication.shared.beginBackgroundTask(withName: "rmlx") { [self] in end() }
    }

    func end() {
      if let task { UIApplication.shared.endBackgroundTask(task) }
      task = nil
    }
  }
#endif

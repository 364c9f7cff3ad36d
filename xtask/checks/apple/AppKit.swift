// Stands in for AppKit, and for what Dispatch has on a Mac only, where there is none: the declarations that the Swift
// package uses.

@_exported import CoreGraphics
@_exported import Foundation

public final class NSImage {
  public func cgImage(
    forProposedRect rect: UnsafeMutablePointer<CGRect>?, context: AnyObject?, hints: [String: Any]?
  ) -> CGImage? { fatalError() }
}

@MainActor public final class NSApplication {
  public nonisolated class var willTerminateNotification: Notification.Name { fatalError() }
}

public final class NSWorkspace: @unchecked Sendable {
  public class var shared: NSWorkspace { fatalError() }
  public var notificationCenter: NotificationCenter { fatalError() }
  public class var willSleepNotification: Notification.Name { fatalError() }
  public class var didWakeNotification: Notification.Name { fatalError() }
}

public struct MemoryPressureEvent: OptionSet, Sendable {
  public let rawValue: UInt
  public init(rawValue: UInt) { self.rawValue = rawValue }
  public static let warning = MemoryPressureEvent(rawValue: 2)
  public static let critical = MemoryPressureEvent(rawValue: 4)
}

extension DispatchSource {
  public class func makeMemoryPressureSource(
    eventMask: MemoryPressureEvent, queue: DispatchQueue?
  ) -> any DispatchSourceProtocol { fatalError() }
}

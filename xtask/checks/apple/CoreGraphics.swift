// Stands in for CoreGraphics where there is none: the declarations that the Swift package uses.

@_exported import Foundation

public final class CGImage {
  public var width: Int { fatalError() }
  public var height: Int { fatalError() }
}

public final class CGColorSpace {
  public static let sRGB: CFString = CFString()
  public init?(name: CFString) { fatalError() }
}

public final class CFString: Sendable {
  init() {}
}

public func CGColorSpaceCreateDeviceRGB() -> CGColorSpace { fatalError() }

public enum CGImageAlphaInfo: UInt32 {
  case noneSkipLast = 5
}

public struct CGBitmapInfo: OptionSet, Sendable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  public static var byteOrder32Big: CGBitmapInfo { CGBitmapInfo(rawValue: 4 << 12) }
}

public final class CGContext {
  public init?(
    data: UnsafeMutableRawPointer?, width: Int, height: Int, bitsPerComponent: Int, bytesPerRow: Int,
    space: CGColorSpace, bitmapInfo: UInt32
  ) { fatalError() }
  public func draw(_ image: CGImage, in rect: CGRect) {}
}

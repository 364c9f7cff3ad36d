// Stands in for CoreGraphics where there is none: the declarations that the Swift package uses.

@_exported import Foundation

public typealias CFString = String
public typealias CFData = Data
public typealias CFDictionary = [AnyHashable: Any]

public final class CGDataProvider {}

public enum CGColorRenderingIntent: Int32, Sendable {
  case defaultIntent
}

public final class CGImage {
  public init?(
    width: Int, height: Int, bitsPerComponent: Int, bitsPerPixel: Int, bytesPerRow: Int, space: CGColorSpace,
    bitmapInfo: CGBitmapInfo, provider: CGDataProvider, decode: UnsafePointer<CGFloat>?, shouldInterpolate: Bool,
    intent: CGColorRenderingIntent
  ) { fatalError() }
  public var width: Int { fatalError() }
  public var height: Int { fatalError() }
  public var bitsPerComponent: Int { fatalError() }
  public var bitsPerPixel: Int { fatalError() }
  public var bytesPerRow: Int { fatalError() }
  public var colorSpace: CGColorSpace? { fatalError() }
  public var alphaInfo: CGImageAlphaInfo { fatalError() }
  public var bitmapInfo: CGBitmapInfo { fatalError() }
  public var dataProvider: CGDataProvider? { fatalError() }
  public var decode: UnsafePointer<CGFloat>? { fatalError() }
  public var renderingIntent: CGColorRenderingIntent { fatalError() }
}

public enum CGColorSpaceModel: Int32, Sendable {
  case unknown = -1
  case monochrome, rgb, cmyk, lab, deviceN, indexed, pattern, XYZ
}

public final class CGColorSpace {
  public static let sRGB: CFString = ""
  public init?(name: CFString) { fatalError() }
  public var model: CGColorSpaceModel { fatalError() }
  public var supportsOutput: Bool { fatalError() }
  public var baseColorSpace: CGColorSpace? { fatalError() }
}

public func CGColorSpaceCreateDeviceRGB() -> CGColorSpace { fatalError() }

public enum CGImageAlphaInfo: UInt32 {
  case none, premultipliedLast, premultipliedFirst, last, first, noneSkipLast, noneSkipFirst, alphaOnly
}

public struct CGBitmapInfo: OptionSet, Sendable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  public static var alphaInfoMask: CGBitmapInfo { CGBitmapInfo(rawValue: 31) }
  public static var byteOrder32Big: CGBitmapInfo { CGBitmapInfo(rawValue: 4 << 12) }
}

public final class CGContext {
  public init?(
    data: UnsafeMutableRawPointer?, width: Int, height: Int, bitsPerComponent: Int, bytesPerRow: Int,
    space: CGColorSpace, bitmapInfo: UInt32
  ) { fatalError() }
  public func draw(_ image: CGImage, in rect: CGRect) {}
}

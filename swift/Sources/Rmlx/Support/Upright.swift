import Foundation

/// Turns a picture of 4 bytes a pixel, without a gap between its rows, the right way up.
///
/// `orientation` is the number that a camera notes, from 1 to 8, as EXIF counts them; another one turns nothing.
func upright(_ pixels: Data, width: Int, height: Int, orientation: UInt32) -> (pixels: Data, width: Int, height: Int) {
  guard (2...8).contains(orientation), pixels.count == 4 * width * height else { return (pixels, width, height) }
  let (right, bottom) = (width - 1, height - 1)
  let isTurned = orientation > 4
  let (columns, rows) = isTurned ? (height, width) : (width, height)
  var turned = Data(count: pixels.count)
  turned.withUnsafeMutableBytes { turned in
    pixels.withUnsafeBytes { pixels in
      let (target, source) = (turned.bindMemory(to: UInt32.self), pixels.bindMemory(to: UInt32.self))
      for y in 0..<rows {
        for x in 0..<columns {
          let (fromX, fromY) =
            switch orientation {
            case 2: (right - x, y)
            case 3: (right - x, bottom - y)
            case 4: (x, bottom - y)
            case 5: (y, x)
            case 6: (y, bottom - x)
            case 7: (right - y, bottom - x)
            default: (right - y, x)
            }
          target[y * columns + x] = source[fromY * width + fromX]
        }
      }
    }
  }
  return (turned, columns, rows)
}

/// Gives the colours of a picture of red, green, blue and alpha back what their multiplication by alpha took.
///
/// Where nothing is to be seen there is no colour left: such a pixel is black.
func withoutAlpha(_ pixels: inout Data) {
  pixels.withUnsafeMutableBytes { bytes in
    let bytes = bytes.bindMemory(to: UInt8.self)
    for pixel in stride(from: 0, to: bytes.count - bytes.count % 4, by: 4) {
      let alpha = Int(bytes[pixel + 3])
      guard alpha != 0, alpha != 255 else { continue }
      for channel in pixel..<(pixel + 3) {
        bytes[channel] = UInt8(min(255, (Int(bytes[channel]) * 255 + alpha / 2) / alpha))
      }
      bytes[pixel + 3] = 255
    }
  }
}

/// The name as the DNS knows it: labels with characters outside ASCII become A-labels (RFC 5890 §2.3.2.1, encoded as RFC 3492
/// says). `nil` if it is no domain name or a label gets longer than 63 octets.
///
/// Letters are lowercased first; other mappings of UTS #46 are left to whoever typed the address.
public func asciiName(_ name: String) -> String? {
    guard DomainName(name) != nil else { return nil }
    if name.utf8.allSatisfy({ $0 < 0x80 }) { return name.hasSuffix(".") ? String(name.dropLast()) : name }
    var labels: [String] = []
    for label in name.lowercased().split(separator: ".") {
        if label.utf8.allSatisfy({ $0 < 0x80 }) {
            labels.append(String(label))
        } else {
            guard let encoded = punycode(label) else { return nil }
            labels.append("xn--" + encoded)
        }
    }
    guard labels.allSatisfy({ $0.utf8.count <= 63 }) else { return nil }
    return labels.joined(separator: ".")
}

/// RFC 3492 §6.3. The label has at most 255 octets, so nothing overflows.
private func punycode(_ label: Substring) -> String? {
    let points = label.unicodeScalars.map { Int($0.value) }
    var output = points.filter { $0 < 0x80 }.map { UInt8($0) }
    let basicCount = output.count
    var handled = basicCount
    if basicCount > 0 { output.append(UInt8(ascii: "-")) }
    var next = 128
    var delta = 0
    var bias = 72
    while handled < points.count {
        guard let smallest = points.filter({ $0 >= next }).min() else { return nil }
        delta += (smallest - next) * (handled + 1)
        next = smallest
        for point in points {
            if point < next { delta += 1 }
            if point == next {
                appendVariableLength(delta, bias: bias, to: &output)
                bias = adapted(delta, count: handled + 1, isFirst: handled == basicCount)
                delta = 0
                handled += 1
            }
        }
        delta += 1
        next += 1
    }
    return String(decoding: output, as: UTF8.self)
}

private func appendVariableLength(_ delta: Int, bias: Int, to output: inout [UInt8]) {
    var rest = delta
    var step = 36
    while true {
        let threshold = min(max(step - bias, 1), 26)
        if rest < threshold { break }
        output.append(digit(threshold + (rest - threshold) % (36 - threshold)))
        rest = (rest - threshold) / (36 - threshold)
        step += 36
    }
    output.append(digit(rest))
}

/// `a`...`z` are 0...25, `0`...`9` are 26...35.
private func digit(_ value: Int) -> UInt8 { UInt8(value < 26 ? value + 97 : value + 22) }

/// RFC 3492 §6.1.
private func adapted(_ delta: Int, count: Int, isFirst: Bool) -> Int {
    var delta = isFirst ? delta / 700 : delta / 2
    delta += delta / count
    var result = 0
    while delta > 455 {
        delta /= 35
        result += 36
    }
    return result + 36 * delta / (delta + 38)
}

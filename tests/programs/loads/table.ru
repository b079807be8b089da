# A Rack application whose table is loaded before the workers are forked; a request reads a part of it and makes garbage.
ENTRIES = 150_000
TABLE = (0...ENTRIES).to_h { |number| ["entry #{number}", [number, number.to_s * 3]] }

run lambda { |env|
  total = 0
  300.times { total += TABLE["entry #{rand(ENTRIES)}"][1].dup.length }
  [200, { "content-type" => "text/plain" }, [total.to_s]]
}

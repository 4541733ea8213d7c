import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * The same work on Kafka Streams: exactly_once_v2, one thread, bytes passed through.
 *
 * <p>Each record is read once, by Jackson's streaming parser, which is its fastest. TUNED=1 sets
 * batches, fetches and buffers for throughput; without it all but the guarantee, and the commit
 * interval where it is given, is at its default. VELOCITY=1 looks, in place of the amount, at what
 * the account did before.
 */
public final class Peer {
  private static final double THRESHOLD = 900;
  private static final JsonFactory JSON = new JsonFactory();

  public static void main(String[] arguments) throws InterruptedException {
    Map<String, String> variables = System.getenv();
    String legit = variables.get("LEGIT_TOPIC");
    String fraud = variables.get("FRAUD_TOPIC");
    String input = variables.get("TRANSACTIONS_TOPIC");
    boolean remembers = variables.containsKey("VELOCITY");
    Topology topology =
        remembers ? velocity(input, legit, fraud) : threshold(input, legit, fraud);
    KafkaStreams streams = new KafkaStreams(topology, settings(variables));
    CountDownLatch told = new CountDownLatch(1);
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      streams.close();
      told.countDown();
    }));
    streams.start();
    told.await();
  }

  private static Topology threshold(String input, String legit, String fraud) {
    StreamsBuilder builder = new StreamsBuilder();
    builder
        .<byte[], byte[]>stream(input)
        .to((key, value, context) -> amount(value, null) < THRESHOLD ? legit : fraud);
    return builder.build();
  }

  private static Topology velocity(String input, String legit, String fraud) {
    return new Topology()
        .addSource("in", input)
        .addProcessor("velocity", Velocity::new, "in")
        .addStateStore(
            Stores.keyValueStoreBuilder(
                    Stores.inMemoryKeyValueStore(Velocity.STORE),
                    Serdes.Bytes(),
                    Serdes.ByteArray())
                .withLoggingEnabled(Map.of())
                .withCachingDisabled(), // an account seldom pays twice between two commits
            "velocity")
        .addSink(Velocity.LEGIT, legit, "velocity")
        .addSink(Velocity.FRAUD, fraud, "velocity");
  }

  /**
   * Flags a payment by how many, how much, and to how many different payees its account paid in the
   * windows that it ends, by event time, exactly.
   *
   * <p>An account is one array of bytes: for each payment of the last day, in the order of their
   * offsets, its time, its amount in cents, and a hash of the payee. It is read in place: there is
   * nothing to serialise. The accounts' store writes each change to its changelog.
   */
  private static final class Velocity implements Processor<byte[], byte[], byte[], byte[]> {
    static final String STORE = "accounts";
    static final String LEGIT = "legit";
    static final String FRAUD = "fraud";
    private static final long HOUR_MS = 3_600_000;
    private static final long DAY_MS = 24 * HOUR_MS;
    private static final long KEEP_MS = DAY_MS + HOUR_MS; // for a payment that comes late
    private static final int MOST_IN_AN_HOUR = 10;
    private static final long MOST_CENTS_A_DAY = 5_000_00;
    private static final int MOST_PAYEES_IN_8_HOURS = 10;
    private static final int AMOUNT = 8;
    private static final int PAYEE = 16;
    private static final int PAYMENT = 24;
    private static final VarHandle LONG =
        MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

    private final long[] payee = new long[1];
    private long[] payees = new long[64];
    private ProcessorContext<byte[], byte[]> context;
    private KeyValueStore<Bytes, byte[]> accounts;

    @Override
    public void init(ProcessorContext<byte[], byte[]> context) {
      this.context = context;
      this.accounts = context.getStateStore(STORE);
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
      long now = record.timestamp();
      long cents = Math.round(amount(record.value(), payee) * 100);
      Bytes key = Bytes.wrap(record.key());
      byte[] account = with(accounts.get(key), now, cents, payee[0]);
      accounts.put(key, account);
      context.forward(record, isSuspicious(account, now) ? FRAUD : LEGIT);
    }

    /** The account with one more payment, without those that no window reaches any more. */
    private static byte[] with(byte[] before, long now, long cents, long payee) {
      int end = before == null ? 0 : before.length;
      int first = 0;
      while (first < end && at(before, first) <= now - KEEP_MS) {
        first += PAYMENT;
      }
      int last = end - first;
      byte[] account = new byte[last + PAYMENT];
      if (last > 0) {
        System.arraycopy(before, first, account, 0, last);
      }
      LONG.set(account, last, now);
      LONG.set(account, last + AMOUNT, cents);
      LONG.set(account, last + PAYEE, payee);
      return account;
    }

    private boolean isSuspicious(byte[] account, long now) {
      int count = 0;
      int inEightHours = 0;
      long sum = 0;
      for (int place = 0; place < account.length; place += PAYMENT) {
        long time = at(account, place);
        if (time > now - DAY_MS && time <= now) {
          sum += at(account, place + AMOUNT);
          if (time > now - 8 * HOUR_MS) {
            if (inEightHours == payees.length) {
              payees = Arrays.copyOf(payees, 2 * payees.length);
            }
            payees[inEightHours++] = at(account, place + PAYEE);
            if (time > now - HOUR_MS) {
              count++;
            }
          }
        }
      }
      return count >= MOST_IN_AN_HOUR
          || sum >= MOST_CENTS_A_DAY
          || (inEightHours >= MOST_PAYEES_IN_8_HOURS
              && different(inEightHours) >= MOST_PAYEES_IN_8_HOURS);
    }

    private int different(int count) {
      Arrays.sort(payees, 0, count);
      int found = 1;
      for (int place = 1; place < count; place++) {
        if (payees[place] != payees[place - 1]) {
          found++;
        }
      }
      return found;
    }

    private static long at(byte[] account, int place) {
      return (long) LONG.get(account, place);
    }
  }

  /**
   * The amount of a transaction, of which all four fields must be there; and where `payee` is given,
   * a 64-bit hash (FNV-1a) of its target.
   */
  private static double amount(byte[] value, long[] payee) {
    try (JsonParser parser = JSON.createParser(value)) {
      double amount = Double.NaN;
      int found = 0;
      expect(parser.nextToken() == JsonToken.START_OBJECT);
      for (String name = parser.nextFieldName(); name != null; name = parser.nextFieldName()) {
        JsonToken token = parser.nextToken();
        switch (name) {
          case "amount" -> {
            expect(token.isNumeric());
            amount = parser.getDoubleValue();
            found |= 1;
          }
          case "source" -> found |= text(parser, token, 2);
          case "target" -> {
            found |= text(parser, token, 4);
            if (payee != null) {
              payee[0] = hash(parser);
            }
          }
          case "currency" -> found |= text(parser, token, 8);
          default -> parser.skipChildren();
        }
      }
      expect(found == 15);
      return amount;
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  private static int text(JsonParser parser, JsonToken token, int bit) throws IOException {
    expect(token == JsonToken.VALUE_STRING && parser.getTextLength() > 0);
    return bit;
  }

  private static long hash(JsonParser parser) throws IOException {
    char[] text = parser.getTextCharacters();
    int first = parser.getTextOffset();
    long found = 0xcbf29ce484222325L;
    for (int place = first; place < first + parser.getTextLength(); place++) {
      found = (found ^ text[place]) * 0x100000001b3L;
    }
    return found;
  }

  private static void expect(boolean valid) {
    if (!valid) {
      throw new IllegalArgumentException("not a transaction");
    }
  }

  private static Properties settings(Map<String, String> variables) {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", variables.get("KAFKA_BROKER_URL"));
    settings.put("application.id", variables.get("CONSUMER_GROUP"));
    settings.put("state.dir", variables.get("STATE_DIR"));
    settings.put("default.key.serde", Serdes.ByteArraySerde.class);
    settings.put("default.value.serde", Serdes.ByteArraySerde.class);
    settings.put("processing.guarantee", StreamsConfig.EXACTLY_ONCE_V2);
    settings.put("num.stream.threads", 1);
    if (variables.containsKey("COMMIT_INTERVAL_MS")) {
      settings.put("commit.interval.ms", variables.get("COMMIT_INTERVAL_MS"));
    }
    if (variables.containsKey("TUNED")) {
      settings.put("producer.batch.size", 512 << 10);
      settings.put("producer.linger.ms", 100);
      settings.put("producer.buffer.memory", 128 << 20);
      settings.put("consumer.max.poll.records", 10_000);
      settings.put("consumer.max.partition.fetch.bytes", 4 << 20);
      settings.put("consumer.fetch.max.bytes", 64 << 20);
      settings.put("consumer.receive.buffer.bytes", 1 << 20);
      settings.put("buffered.records.per.partition", 20_000);
    }
    return settings;
  }

  private Peer() {}
}

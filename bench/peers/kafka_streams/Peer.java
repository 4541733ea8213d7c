import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;

/**
 * The same work on Kafka Streams: exactly_once_v2, one thread, bytes passed through.
 *
 * <p>Each record is read once, by Jackson's streaming parser, which is its fastest. TUNED=1 sets
 * batches, fetches and buffers for throughput; without it all but the guarantee, and the commit
 * interval where it is given, is at its default.
 */
public final class Peer {
  private static final double THRESHOLD = 900;
  private static final JsonFactory JSON = new JsonFactory();

  public static void main(String[] arguments) throws InterruptedException {
    Map<String, String> variables = System.getenv();
    String legit = variables.get("LEGIT_TOPIC");
    String fraud = variables.get("FRAUD_TOPIC");
    StreamsBuilder builder = new StreamsBuilder();
    builder
        .<byte[], byte[]>stream(variables.get("TRANSACTIONS_TOPIC"))
        .to((key, value, context) -> amount(value) < THRESHOLD ? legit : fraud);
    KafkaStreams streams = new KafkaStreams(builder.build(), settings(variables));
    CountDownLatch told = new CountDownLatch(1);
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      streams.close();
      told.countDown();
    }));
    streams.start();
    told.await();
  }

  /** The amount of a transaction, of which all four fields must be there. */
  private static double amount(byte[] value) {
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
          case "target" -> found |= text(parser, token, 4);
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
      settings.put("producer.batch.size", 256 << 10);
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
